"""Networks as ONNX files: they give what the package gives, for any batch and size, or are not written."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor, nn

import sketchprep
from sketchprep.cli.main import main
from sketchprep.core import weights
from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.networks.architecture import Architecture
from sketchprep.models.deepfacedrawing.networks.model import FaceModel, build, load_face_model, save_face_model
from sketchprep.models.deepfacedrawing.onnx import NAMES
from sketchprep.nn import hed, simplifier
from sketchprep.nn.onnx import Network, Port
from sketchprep.training.onnx import Exported, export_onnx

ARCHITECTURE = Architecture(
    size=64, latent=24, width=8, fm_channels=4, fm_width=4, ngf=8, downs=2, blocks=1, narrow=4, innermost=12
)
PORTRAITS = Path(sketchprep.__file__).parent / "data" / "portraits"
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "onnx.md"
SMALL = ("encoders", "face")  # the other two are traced for most of a minute
Shift = Callable[[Tensor], Tensor]


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["export-onnx", *map(str, words)])


def run(folder: Path, name: str, **inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def header(path: Path) -> dict[str, str]:
    return {prop.key: prop.value for prop in onnx.load(path).metadata_props}


def photo(name: str, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.open(PORTRAITS / f"{name}.jpg").convert("RGB").resize((width, height)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run with a model of random weights."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    state = build(ARCHITECTURE).state_dict()
    for name in state:  # fresh statistics, 0 and 1, would hide a normalisation that got lost
        if "running_mean" in name:
            state[name] = torch.randn_like(state[name]) * 0.05
        elif "running_var" in name:
            state[name] = torch.rand_like(state[name]) * 0.1 + 0.02
    save_face_model(state, ARCHITECTURE, folder / "deepfacedrawing.safetensors", facts={"licences": ["ask Ann"]})
    return folder


@pytest.fixture(scope="module", params=[SMALL, pytest.param(NAMES, marks=pytest.mark.integration)], ids="-".join)
def names(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param


@pytest.fixture(scope="module")
def exported(names: tuple[str, ...], model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the files of these networks; tests must not change it."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("onnx") / "new"
    result = call(model, "-o", out, *(() if names == NAMES else ("--only", ",".join(names))))
    assert result.exit_code == 0, result.output
    assert all(f"{name}.onnx" in result.output for name in names)
    return out


with_all = pytest.mark.parametrize("names", [pytest.param(NAMES, marks=pytest.mark.integration)], indirect=True)


@pytest.fixture(scope="module")
def loaded(model: Path) -> FaceModel:
    return load_face_model(model)


def test_the_folder_holds_the_files_and_nothing_else(exported: Path, names: tuple[str, ...]) -> None:
    assert sorted(path.name for path in exported.iterdir()) == sorted(f"{n}.onnx" for n in names)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_sketches_become_the_same_faces(exported: Path, loaded: FaceModel, batch: int) -> None:
    sketches = np.random.default_rng(batch).integers(0, 256, (batch, 64, 64), np.uint8)
    codes = run(exported, "encoders", sketch=sketches[:, None].astype(np.float32) / 127.5 - 1)
    expected = loaded.encode(sketches)
    assert codes.shape == (batch, 5, 24)
    np.testing.assert_allclose(codes, expected.numpy(), atol=1e-4)
    assert np.ptp(codes) > 0.05  # equal because they say something, not because both are empty
    face = run(exported, "face", codes=codes)
    with torch.inference_mode():
        np.testing.assert_allclose(face, loaded.generator(expected)[0].numpy(), atol=1e-3)
    assert face.shape == (batch, 3, 64, 64)
    assert face.std() > 0.05


@with_all
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 16, 16), (3, 90, 61), (2, 64, 129)])
def test_hed_takes_photos_of_any_size(exported: Path, batch: int, height: int, width: int) -> None:
    photos = np.stack([photo(name, height, width) for name in ("male-07", "female-13", "male-12")[:batch]])
    edges = run(exported, "hed", photo=photos)
    net = hed.load_hed(weights.path("hed"))
    np.testing.assert_allclose(edges, hed.probability(net, photos), atol=1e-3)
    assert np.ptp(edges) > 0.3


@with_all
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 16, 16), (2, 17, 131), (3, 88, 64), (1, 71, 95)])
def test_the_simplifier_pads_and_crops_inside(exported: Path, batch: int, height: int, width: int) -> None:
    drawings = np.full((batch, height, width), 255, np.uint8)
    drawings[:, height // 3 : height // 3 + 3] = 60
    drawings[:, :, -4:-1] = 90  # near the border that is continued
    clean = run(exported, "simplifier", drawing=drawings[:, None].astype(np.float32) / 255)
    expected = simplifier.simplify(simplifier.load_simplifier(weights.path("simplifier")), drawings)
    assert clean.shape == (batch, 1, height, width)
    assert np.abs(clean[:, 0] * 255 - expected).max() <= 0.5 + 255e-3
    assert clean.min() < 0.5 < 0.9 < clean.max()


def test_a_file_says_what_it_is(exported: Path, names: tuple[str, ...]) -> None:
    said = header(exported / "face.onnx")
    assert json.loads(said["architecture"]) == asdict(ARCHITECTURE)
    assert said["licence"] == "ask Ann"
    if "hed" in names:
        assert header(exported / "hed.onnx")["licence"].startswith("MIT")
    here = str(Path(sketchprep.__file__).parent).encode()
    for name in names:
        data = (exported / f"{name}.onnx").read_bytes()
        onnx.checker.check_model(data)
        assert here not in data, f"{name}.onnx tells where the package lies"
        assert b"site-packages" not in data


@with_all
def test_the_example_of_the_documentation_runs(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(exported, tmp_path / "o")
    monkeypatch.chdir(tmp_path / "o")
    Image.fromarray(photo("male-07", 70, 51)).save("photo.jpg")
    for name in ("sketch.png", "rough.png"):
        Image.fromarray(photo("male-07", 70, 51)).convert("L").save(name)
    text = DOCUMENTATION.read_text(encoding="utf-8")
    exec(text.split("```python\n")[1].split("```")[0], {})
    assert Image.open("face.png").size == (64, 64)
    assert Image.open("edges.png").size == Image.open("clean.png").size == (51, 70)
    edges = np.asarray(Image.open("edges.png"))
    assert np.median(edges) > 128, "edges are dark lines on white"
    assert edges.min() < 100


class Small(nn.Module):
    def __init__(self, shift: Shift) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, codes: Tensor) -> Tensor:
        return self.shift(codes * 2)


@pytest.fixture
def small() -> Callable[..., list[Exported]]:
    """Export a network of one line."""

    def export(shift: Shift, out: Path, **words: Any) -> list[Exported]:
        port = Port("codes", "float32", ("batch", 3), "any")
        network = Network(
            "face", "twice as much", Small(shift).eval(), port, Port("face", "float32", ("batch", 3), "any"),
            [torch.arange(6.0).view(2, 3), torch.ones(1, 3)], {"rows": 3}, "none",
        )  # fmt: skip
        return export_onnx([network], out, **words)

    return export


def test_a_file_that_differs_is_not_left(small: Callable[..., list[Exported]], tmp_path: Path) -> None:
    small(lambda x: x, tmp_path)
    before = (tmp_path / "face.onnx").read_bytes()
    calls: list[int] = []

    def drift(x: Tensor) -> Tensor:  # a trace keeps the number that it met
        calls.append(1)
        return x + 0.01 * len(calls)

    with pytest.raises(UserError, match=r"face\.onnx: was not kept.*differ"):
        small(drift, tmp_path)
    assert (tmp_path / "face.onnx").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_results_that_are_no_numbers_are_not_left(small: Callable[..., list[Exported]], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="was not kept"):
        small(lambda x: x / 0 - x / 0, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_the_runtime_refuses_is_not_left(
    small: Callable[..., list[Exported]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, *_: object, **__: object) -> None:
        assert onnx.load(path).graph.node
        raise RuntimeError("opset 20 is too new\nand more")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(UserError, match=r"cannot run it with `opset` 20 \(opset 20 is too new\); try another$"):
        small(lambda x: x, tmp_path, opset=20)
    assert not list(tmp_path.iterdir())


def test_the_operator_set_is_the_one_asked_for(small: Callable[..., list[Exported]], tmp_path: Path) -> None:
    made = small(lambda x: x, tmp_path, opset=21)
    assert [item.version for item in onnx.load(made[0].path).opset_import if not item.domain] == [21]
    assert "twice as much" in onnx.load(made[0].path).doc_string


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "RUN is missing: encoders and face"),
        (("--only", "face"), "RUN is missing: face"),
        (("nowhere",), "nowhere"),
        (("--only", "hed,nose"), "'nose'"),
        (("--only", ""), "--only ''"),
        (("--only", "hed", "--opset", "9"), "--opset 9: cannot be written; use 18 to 24"),
    ],
)
def test_mistakes_are_one_sentence(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sketchprep.models.deepfacedrawing.drawing.pretrained.bundled", lambda: None)
    result = call(*words, "-o", tmp_path / "o")
    assert result.exit_code == 2
    assert said in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_package_that_is_missing(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = call("--only", "simplifier", "-o", tmp_path / "o")
    assert result.exit_code == 2
    assert result.output == f"Error: export-onnx needs the package {package}; run `pip install 'sketchprep[onnx]'`\n"


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "o").write_text("a file")
    result = call("--only", "simplifier", "-o", tmp_path / "o")
    assert result.exit_code == 2
    assert "cannot be written" in result.output
    assert (tmp_path / "o").read_text() == "a file"
