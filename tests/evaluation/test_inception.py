"""Inception's features through torch-fidelity: what the user is told without it, and what is done with it.

The package and its weights are not part of the tests' environment: a small network stands in for them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from small_face_model import fresh, write_run

from sketchprep.cli.main import main
from sketchprep.evaluation.distribution import kernel_distance
from sketchprep.evaluation.inception import WEIGHTS


class Pooled(torch.nn.Module):
    """Stands in for the network: means of 2,048 patches of a picture's first channel."""

    def __init__(self, name: str, features: list[str], feature_extractor_weights_path: str) -> None:
        super().__init__()
        assert features == ["2048"]
        self.scale = torch.nn.Parameter(torch.load(feature_extractor_weights_path)["scale"])

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor]:
        assert pixels.dtype == torch.uint8
        pooled = torch.nn.functional.interpolate(pixels[:, :1].float(), (32, 64))
        return (pooled.flatten(1) * self.scale,)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"), fresh(), train=3, test=3)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    package, inner = ModuleType("torch_fidelity"), ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    inner.FeatureExtractorInceptionV3 = Pooled  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, inner.__name__, inner)


def call(run: Path, out: Path, *words: object) -> Result:
    given = ("evaluate", "--run", run, "--data", run / "data", "--wb", 1, "-o", out, *words)
    return CliRunner().invoke(main, [str(word) for word in given])


def test_it_adds_kernel_and_frechet_distances(run: Path, tmp_path: Path, installed: None) -> None:
    torch.save({"scale": torch.tensor(0.01)}, tmp_path / WEIGHTS)
    result = call(run, tmp_path / "out", "--inception", tmp_path / WEIGHTS)
    assert result.exit_code == 0, result.output
    assert "Inception: kernel × 1000" in result.output
    assert "FID takes at least 2,049 faces" in result.output
    values: dict[str, Any] = json.loads((tmp_path / "out/metrics.json").read_text())["inception"]
    assert values["frechet"] == {"wb = 1": None, "another person's photo": None}
    assert values["kernel"]["wb = 1"]["count"] == 3
    assert values["kernel"]["wb = 1"]["value"] > values["kernel"]["another person's photo"]["value"]


def test_what_is_missing_is_named(run: Path, tmp_path: Path, installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    (tmp_path / "text.pth").write_text("no weights")

    class Harmful:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "harm",)

    torch.save({"scale": Harmful()}, tmp_path / "harmful.pth")
    torch.save({}, tmp_path / "other.pth")
    for given, said in (
        ("auto", f"there are no weights {tmp_path / 'cache'}"),
        (tmp_path / "none.pth", "there are no weights"),
        (tmp_path / "text.pth", "holds no weights of Inception"),
        (tmp_path / "harmful.pth", "holds no weights of Inception"),
        (tmp_path / "other.pth", "holds no weights of Inception"),
    ):
        result = call(run, tmp_path / "out", "--inception", given)
        assert result.exit_code == 2, result.output
        assert said in result.output
        assert WEIGHTS in result.output
    assert not (tmp_path / "harm").exists()
    broken = tmp_path / "path/torch_fidelity"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(str(broken.parent))
    for name in ("torch_fidelity", "torch_fidelity.feature_extractor_inceptionv3"):
        monkeypatch.delitem(sys.modules, name)
    result = call(run, tmp_path / "out", "--inception", "auto")
    assert result.exit_code == 2
    assert "the torchvision that belongs to your torch" in result.output
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    result = call(run, tmp_path / "out", "--inception", "auto")
    assert result.exit_code == 2
    assert "needs torch-fidelity" in result.output


def test_the_cubic_kernel_is_that_of_kid() -> None:
    rng = np.random.default_rng(0)
    made, real = rng.normal(0, 1, (2, 6, 5))
    k = [[(a @ b / 5 + 1) ** 3 for b in (*made, *real)] for a in (*made, *real)]
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    wanted = np.mean([k[i][j] + k[6 + i][6 + j] - k[i][6 + j] - k[6 + i][j] for i, j in pairs])
    assert kernel_distance(made, real, bandwidth=None).value == pytest.approx(wanted)
