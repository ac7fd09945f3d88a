"""`train gansketching`: from drawings and a base to a generator that follows them; every trap is a sentence."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from sketchprep import models
from sketchprep.cli.main import main
from sketchprep.errors import UserError
from sketchprep.models.gansketching.model import save_stylegan2
from sketchprep.models.gansketching.sketch_distance import chamfer
from sketchprep.models.gansketching.stylegan2 import Architecture, Discriminator, Generator
from sketchprep.models.gansketching.training.sketches import Sketches

NET = Architecture(32, 8, 2, channel_base=64, channel_max=8)


def drawing(side: int = 96, *, at: int = 48) -> np.ndarray:
    page = np.full((side, side), 255, np.uint8)
    cv2.circle(page, (at, side // 2), side // 3, 0, 3)
    return page


@pytest.fixture
def base(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_stylegan2(tmp_path / "base", Generator(NET), discriminator=Discriminator(NET))
    return tmp_path / "base"


@pytest.fixture
def sketches(tmp_path: Path) -> Path:
    folder = tmp_path / "drawings"
    folder.mkdir()
    cv2.imwrite(str(folder / "one.png"), drawing())
    cv2.imwrite(str(folder / "two.png"), 255 - drawing(at=40))
    return folder


def train(sketches: Path, base: Path, run: Path, *more: str, photos: Path | None = None) -> Result:
    words = ["train", "gansketching", "--sketches", sketches, "--base", base, "--run", run]
    words += ["--photos", photos] if photos else []
    changes = ["images=8", "save_every=4", "samples_every=4", "stats_every=4", "drawer=photocopy", *more]
    words += [word for change in changes for word in ("--set", change)]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_fewer_sketches_than_the_batch_train_the_mapping_alone(
    sketches: Path, base: Path, built: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = train(sketches, base, run, photos=built)
    assert result.exit_code == 0, result.output
    assert "2 sketches, shown in sheet.png" in result.output
    assert "two.png: light ink on darker paper turned to black on white" in result.output
    assert (run / "sheet.png").is_file()
    assert (run / "best" / "stylegan2.safetensors").is_file()
    before, after = (models.open_model(folder).generator.state_dict() for folder in (base, run))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("style.") for name in changed)
    drawn = CliRunner().invoke(main, ["generate", "--run", str(run), "--seeds", "0-1", "-o", str(tmp_path / "drawn")])
    assert drawn.exit_code == 0, drawn.output


def test_one_vector_can_be_all_that_is_learnt(sketches: Path, base: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = train(sketches / "one.png", base, run, "trained=w_shift", "image=0", "lr=0.1")
    assert result.exit_code == 0, result.output
    before, after = (models.open_model(folder).generator.state_dict() for folder in (base, run))
    assert {name for name in after if name not in before} == {"style.3.w_shift"}
    assert after["style.3.w_shift"].abs().max() > 0
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_sketches_of_all_kinds_come_to_one_form(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    page = drawing(128, at=64)
    cv2.imwrite(str(folder / "a.png"), page)
    transparent = np.dstack([np.zeros((128, 128, 3), np.uint8), 255 - page])
    cv2.imwrite(str(folder / "b.png"), transparent)
    cv2.imwrite(str(folder / "c.png"), page[:, 14:-14])
    (folder / "d.txt").write_text("no picture")
    cv2.imwrite(str(folder / "e.png"), np.full((64, 64), 255, np.uint8))
    found = Sketches(folder, size=64, clean=False)
    assert found.names == ["a.png", "b.png", "c.png"]
    assert [name for name, _ in found.refused] == ["d.txt", "e.png"]
    a, b, c = found.fixed(3)[:, 0]
    assert chamfer(a, b) < 0.5
    assert chamfer(a, c) < 3, "white margins, neither cut nor squeezed"
    assert np.array_equal(found.batch(range(3)), found.batch(range(3)))
    with pytest.raises(UserError, match=r"^sketches=.*: holds no sketch; e.png: there is no ink"):
        Sketches(folder / "e.png", size=64)


def test_mistakes_are_one_sentence(sketches: Path, base: Path, built: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    save_stylegan2(bare, Generator(NET))
    for words, sentence in (
        ({"base": bare, "photos": built}, "comes without a discriminator"),
        ({"base": base}, "--photos: name what the base was trained on"),
        ({"base": base, "photos": built, "more": "drawer=photosketch"}, "name its weights with drawer_weights=FILE"),
        ({"base": base, "photos": built, "more": "fake=toSketch,to4ch"}, "transform to4ch: is unknown here"),
        ({"base": tmp_path / "none", "photos": built}, "there is no such StyleGAN2"),
    ):
        more = [words["more"]] if "more" in words else []
        result = train(sketches, words["base"], tmp_path / "run", *more, photos=words.get("photos"))  # type: ignore[arg-type]
        assert result.exit_code == 2, result.output
        assert sentence in result.output


def test_the_distance_of_drawings_is_that_of_their_lines() -> None:
    one = np.full((100, 100), 255, np.uint8)
    other = one.copy()
    one[:, 20], other[:, 25] = 0, 0
    assert chamfer(one, other) == pytest.approx(5)
    assert chamfer(one, one) == 0
    assert chamfer(one, np.full_like(one, 255)) == 100
