"""The registry of model families: any trained file opens with the family that wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_face_model import ARCHITECTURE

from sketchprep.core import weights
from sketchprep.errors import UserError
from sketchprep.models import FAMILIES, commands_of, family, open_model
from sketchprep.models.deepfacedrawing.networks.model import FaceModel, build, save_face_model
from sketchprep.models.pix2pix.model import Baseline, Shape, save_baseline
from sketchprep.nn.simplifier import Simplifier


def test_every_family_says_what_is_its_own() -> None:
    assert set(FAMILIES) >= {"deepfacedrawing", "pix2pix", "simplifier"}
    assert len({family(name).NETWORK for name in FAMILIES}) == len(FAMILIES)
    for name in FAMILIES:
        commands = commands_of(name)
        assert [*commands.COMMANDS, *commands.TRAIN, *commands.EVALUATE]


def test_a_file_opens_with_its_family(tmp_path: Path) -> None:
    save_face_model(build(ARCHITECTURE).state_dict(), ARCHITECTURE, tmp_path / "face.safetensors")
    shape = Shape("unet", 64, 4)
    save_baseline(shape.build().state_dict(), shape, tmp_path / "baseline.safetensors")
    assert isinstance(open_model(tmp_path / "face.safetensors"), FaceModel)
    assert isinstance(open_model(tmp_path / "baseline.safetensors"), Baseline)
    assert isinstance(open_model(tmp_path), Baseline)
    assert isinstance(open_model(weights.path("simplifier")), Simplifier)


def test_what_no_family_knows_is_refused(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(1)}, tmp_path / "plain.safetensors")
    (tmp_path / "text").write_text("no weights")
    (tmp_path / "empty").mkdir()
    for name, words in (
        ("plain.safetensors", "names no network"),
        ("text", "names no network"),
        ("empty", "holds no model"),
        ("none", "no such file"),
    ):
        with pytest.raises(UserError, match=words):
            open_model(tmp_path / name)
