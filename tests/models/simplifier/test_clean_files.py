"""Simplifying files: any paper, any size, one sentence for what cannot be used, the same drawing as SVG."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from sketchprep.cli.main import main
from sketchprep.core.resources import resource
from sketchprep.errors import SampleError, UserError
from sketchprep.io import svg as tracing
from sketchprep.io.stroke_svg import trace_strokes
from sketchprep.models.simplifier.clean_files import simplify_files
from sketchprep.nn.simplifier import Simplifier, save_simplifier
from sketchprep.ops.ink import line_width


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network made by hand that copies ink and sharpens it: its results can be told in advance."""
    net = Simplifier(8, norm=False)
    for p in net.parameters():
        nn.init.zeros_(p)
    with torch.no_grad():
        net.stem.conv.weight[0, 0, 1, 1] = 1
        net.up1.merge.conv.weight[0, 8, 1, 1] = 1
        net.head.weight[0, 0, 1, 1] = 20
        net.head.bias[0] = -10
    path = tmp_path_factory.mktemp("weights") / "copy.safetensors"
    save_simplifier(net, path)
    return path


def drawing(height: int = 240, width: int = 321) -> np.ndarray:
    page = np.full((height, width), 255, np.uint8)
    cv2.circle(page, (width // 2, height // 2), min(height, width) // 4, 0, 3, cv2.LINE_AA)
    cv2.line(page, (10, 20), (width - 30, height // 3), 0, 2, cv2.LINE_AA)
    return page


def save(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def load(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    a, b = first < 128, second < 128
    return float((a & b).sum() / max((a | b).sum(), 1))


def test_every_paper_gives_the_same_drawing(weights: Path, tmp_path: Path) -> None:
    page = drawing()
    light = np.linspace(0.45, 1, page.shape[1])
    images = {
        "white": page, "black": 255 - page, "grey": (70 + page * 0.5).astype(np.uint8),
        "uneven": (page * light).astype(np.uint8), "colour": cv2.applyColorMap(page, cv2.COLORMAP_BONE),
    }  # fmt: skip
    paths = [save(tmp_path / f"{name}.png", image) for name, image in images.items()]
    assert simplify_files(paths, tmp_path / "out", weights=weights) == []
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(p.name for p in paths)
    for path in paths:
        result = load(tmp_path / "out" / path.name)
        assert result.shape == page.shape
        assert overlap(result, page) > 0.85, path.name


@pytest.mark.parametrize("size", [(16, 16), (37, 1001), (700, 300)])
def test_height_and_width_are_kept(weights: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    path = save(tmp_path / "page.jpg", drawing(*size))
    assert simplify_files([path], tmp_path / "out", weights=weights, svg=False) == []
    assert load(tmp_path / "out/page.png").shape == size


def test_batches_give_what_single_pictures_give(weights: Path, tmp_path: Path) -> None:
    pages = [drawing(), drawing(100, 90), np.full((240, 321), 255, np.uint8), 255 - drawing(), drawing(12, 40)]
    paths = [save(tmp_path / f"{i}.png", page) for i, page in enumerate(pages)]
    broken = tmp_path / "5.png"
    broken.write_bytes(paths[0].read_bytes()[:200])
    single, together = (
        simplify_files([*paths, broken], tmp_path / name, weights=weights, batch=batch)
        for name, batch in (("one", 1), ("four", 4))
    )
    assert [(f.id, f.kind) for f in together] == [(f.id, f.kind) for f in single]
    assert len(single) == 2
    for path in paths[:4]:
        np.testing.assert_array_equal(load(tmp_path / "one" / path.name), load(tmp_path / "four" / path.name))
    with pytest.raises(UserError, match="batch 0"):
        simplify_files(paths, tmp_path / "none", weights=weights, batch=0)
    words = [str(paths[0]), str(paths[1]), "-o", str(tmp_path / "cli"), "--weights", str(weights), "--batch", "2"]
    assert CliRunner().invoke(main, ["simplify", *words]).exit_code == 0
    for path in paths[:2]:
        np.testing.assert_array_equal(load(tmp_path / "one" / path.name), load(tmp_path / "cli" / path.name))


def test_blank_and_black_pages_come_back_white(weights: Path, tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{level}.png", np.full((50, 60), level, np.uint8)) for level in (0, 128, 255)]
    assert simplify_files(paths, tmp_path / "out", weights=weights) == []
    for path in paths:
        assert (load(tmp_path / "out" / path.name) == 255).all()


def test_a_photo_given_by_mistake_is_worked_on(weights: Path, tmp_path: Path) -> None:
    photo = resource("data/portraits/male-00.jpg")
    assert simplify_files([photo], tmp_path, weights=weights) == []
    height, width = load(photo).shape[:2]
    assert load(tmp_path / "male-00.png").shape == (height, width)


def test_tidying_removes_specks(weights: Path, tmp_path: Path) -> None:
    page = drawing()
    page[200:203, 20:23] = 0
    path = save(tmp_path / "page.png", page)
    simplify_files([path], tmp_path / "soft", weights=weights)
    simplify_files([path], tmp_path / "tidy", weights=weights, tidy=True)
    simplify_files([path], tmp_path / "thin", weights=weights, tidy={"width": 1.0})
    soft, tidied, thin = (load(tmp_path / name / "page.png") for name in ("soft", "tidy", "thin"))
    assert soft[200:203, 20:23].max() < 10
    assert (tidied[195:210, 15:30] == 255).all()
    assert overlap(tidied, drawing()) > 0.85
    assert 0 < (thin < 128).sum() < 0.7 * (tidied < 128).sum()


def small_face() -> np.ndarray:
    """A head of 130 px on a large page, in lines of 1.3 px."""
    large = np.full((1200, 1200), 255, np.uint8)
    cv2.ellipse(large, (600, 600), (150, 195), 0, 0, 360, 0, 4, cv2.LINE_AA)
    for x in (540, 660):
        cv2.ellipse(large, (x, 560), (33, 16), 0, 0, 360, 0, 4, cv2.LINE_AA)
        cv2.circle(large, (x, 560), 6, 0, -1, cv2.LINE_AA)
    cv2.polylines(large, [np.array([(600, 570), (582, 640), (610, 642)])], False, 0, 4, cv2.LINE_AA)
    cv2.ellipse(large, (600, 700), (48, 14), 0, 0, 180, 0, 4, cv2.LINE_AA)
    return cv2.resize(large, (400, 400), interpolation=cv2.INTER_AREA)


def test_tidying_keeps_small_details_and_the_breadth_of_lines(tmp_path: Path) -> None:
    path = save(tmp_path / "page.png", small_face())
    assert simplify_files([path], tmp_path / "out", tidy=True) == []
    result = load(tmp_path / "out/page.png")
    assert result.shape == (400, 400)
    assert 0.8 < line_width(result) / line_width(small_face()) < 1.6
    for x in (180, 220):
        assert result[184:190, x - 3 : x + 4].min() < 128, "a pupil"
        assert result[184:190, x - 8 : x - 5].max() > 200, "white of the eye"
    assert result[205:217, 192:206].min() < 128, "the nose"
    assert (result[230:242, 184:217] < 128).sum() > 20, "the mouth"


def test_strokes_follow_the_middle_of_the_lines(weights: Path, tmp_path: Path) -> None:
    import resvg_py as resvg

    path = save(tmp_path / "page.png", drawing())
    assert simplify_files([path], tmp_path / "out", weights=weights, strokes=True) == []
    text = (tmp_path / "out/page.strokes.svg").read_text(encoding="utf-8")
    root = ET.fromstring(text)
    paths = [child for child in root.iter() if child.tag.endswith("path")]
    assert 2 <= len(paths) <= 6
    assert all(1 < float(path.get("stroke-width", "0")) < 5.5 for path in paths)
    drawn = cv2.imdecode(np.frombuffer(bytes(resvg.svg_to_bytes(svg_string=text)), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert overlap(drawn, load(tmp_path / "out/page.png")) > 0.75


def test_noise_has_too_many_strokes() -> None:
    noise = np.where(np.random.default_rng(0).random((1200, 1200)) < 0.1, 0, 255).astype(np.uint8)
    with pytest.raises(SampleError, match="over 20,000 strokes"):
        trace_strokes(noise)


def test_bad_pictures_are_failures_and_the_rest_goes_on(weights: Path, tmp_path: Path) -> None:
    good = save(tmp_path / "good.png", drawing())
    tiny = save(tmp_path / "tiny.png", drawing(15, 40))
    text, cut = tmp_path / "text.png", tmp_path / "cut.png"
    text.write_text("no picture")
    cut.write_bytes(good.read_bytes()[:300])
    missing = tmp_path / "missing.png"
    failures = simplify_files([tiny, text, cut, missing, good], tmp_path / "out", weights=weights)
    assert [Path(f.id).stem for f in failures] == ["tiny", "text", "cut", "missing"]
    assert [f.kind for f in failures[:2]] == ["too-small", "not-a-picture"]
    assert {f.stage for f in failures} == {"simplify"}
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good.png"]


def test_nothing_is_overwritten_by_accident(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first, second = save(tmp_path / "a.png", drawing()), save(tmp_path / "other/a.jpg", drawing())
    before = first.read_bytes()
    with pytest.raises(UserError, match="would both become"):
        simplify_files([first, second], tmp_path / "out", weights=weights)
    with pytest.raises(UserError, match="would overwrite it"):
        simplify_files([first], tmp_path, weights=weights)
    assert first.read_bytes() == before
    assert not (tmp_path / "out").exists()


def test_wrong_weights_and_devices_are_one_sentence(weights: Path, tmp_path: Path) -> None:
    page = save(tmp_path / "a.png", drawing())
    with pytest.raises(UserError, match=r"weights='nowhere\.pth' is no file"):
        simplify_files([page], tmp_path / "out", weights="nowhere.pth")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot be read as weights"):
        simplify_files([page], tmp_path / "out", weights=cut)
    with pytest.raises(UserError, match="device='tpu'"):
        simplify_files([page], tmp_path / "out", weights=weights, device="tpu")
    with pytest.raises(UserError, match="dtype"):
        simplify_files([page], tmp_path / "out", weights=weights, dtype="int8")


def test_the_svg_shows_the_same_drawing(weights: Path, tmp_path: Path) -> None:
    import resvg_py as resvg

    path = save(tmp_path / "page.png", drawing())
    assert simplify_files([path], tmp_path / "out", weights=weights, svg=True) == []
    text = (tmp_path / "out/page.svg").read_text(encoding="utf-8")
    root = ET.fromstring(text)
    assert (root.get("width"), root.get("height")) == ("321", "240")
    assert {child.tag.rpartition("}")[2] for child in root} == {"rect", "path"}
    drawn = cv2.imdecode(np.frombuffer(bytes(resvg.svg_to_bytes(svg_string=text)), np.uint8), cv2.IMREAD_GRAYSCALE)
    png = load(tmp_path / "out/page.png")
    assert drawn.shape == png.shape
    assert overlap(drawn, png) > 0.85
    assert np.abs(drawn.astype(int) - png).mean() < 3


@pytest.mark.parametrize("level", [0, 255])
def test_pages_of_one_tone_trace(level: int) -> None:
    import resvg_py as resvg

    text = tracing.trace(np.full((30, 50), level, np.uint8))
    drawn = cv2.imdecode(np.frombuffer(bytes(resvg.svg_to_bytes(svg_string=text)), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert drawn.shape == (30, 50)
    assert np.abs(drawn[2:-2, 2:-2].astype(int) - level).max() < 5


def test_a_large_sketch_is_traced_at_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    import resvg_py as resvg

    monkeypatch.setattr(tracing, "_PIXELS", 40_000)
    page = np.full((400, 600), 255, np.uint8)
    cv2.circle(page, (300, 200), 120, 0, 12, cv2.LINE_AA)
    text = tracing.trace(page)
    width, height = (int(n) for n in ET.fromstring(text).attrib["viewBox"].split()[2:])
    assert width * height <= 40_500
    drawn = cv2.imdecode(np.frombuffer(bytes(resvg.svg_to_bytes(svg_string=text)), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert drawn.shape == page.shape
    assert overlap(drawn, page) > 0.8


def test_noise_is_refused_by_the_tracer_and_the_png_stays(weights: Path, tmp_path: Path) -> None:
    noise = np.where(np.random.default_rng(0).random((900, 900)) < 0.12, 0, 255).astype(np.uint8)
    noise = cv2.resize(noise, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    path = save(tmp_path / "noise.png", noise)
    (failure,) = simplify_files([path], tmp_path / "out", weights=weights, svg=True)
    assert failure.kind == "too-many-strokes"
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["noise.png"]


def test_a_panic_of_the_tracer_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def panics(*args: object, **words: object) -> str:
        raise PanicException("overflow")

    monkeypatch.setattr(tracing, "require", lambda: panics)
    with pytest.raises(SampleError, match="overflow"):
        tracing.trace(drawing())


def test_without_the_tracer_svg_says_what_to_install(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vtracer", None)
    path = save(tmp_path / "page.png", drawing())
    with pytest.raises(UserError, match=r"sketchprep\[svg\]"):
        simplify_files([path], tmp_path / "out", weights=weights, svg=True)
    assert simplify_files([path], tmp_path / "out", weights=weights) == []


def test_large_pages_are_worked_on_in_tiles(weights: Path, tmp_path: Path) -> None:
    page = drawing(2100, 2200)
    path = save(tmp_path / "page.png", page)
    assert simplify_files([path], tmp_path / "out", weights=weights) == []
    assert overlap(load(tmp_path / "out/page.png"), page) > 0.85
