"""The networks that DeepFaceDrawing is compared with: trained like stage 2, resumed bit for bit, and one file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from drawn_faces import draw, write_faces
from safetensors.torch import load_file, save_file
from small_stages import QUICK, SMALL, small_task, write_encoders

from sketchprep.cli.main import main
from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.networks.modules import FaceGenerator
from sketchprep.models.deepfacedrawing.training.settings import Settings
from sketchprep.models.pix2pix.export import export_baseline
from sketchprep.models.pix2pix.model import load_baseline
from sketchprep.models.pix2pix.settings import plan
from sketchprep.models.pix2pix.task import BaselineTask
from sketchprep.models.pix2pix.train import train_baseline
from sketchprep.training import checkpoint, presets
from sketchprep.training.loop import fit
from sketchprep.training.paired_gan import GanSettings

NARROW = [
    "size=64", "ngf=4", "downs=2", "blocks=1", "ndf=4", "scales=1", "perceptual=0", "images=16", "batch=4", "workers=0",
    "threads=1", "precision=float32", "stats_every=4", "samples_every=1000", "save_every=8",
]  # fmt: skip


def train(data: Path, run: Path, *more: str, **options: Any) -> Any:
    chosen = {"network": "unet", "preset": "tiny", "device": "cpu", "quiet": True, **options}
    return train_baseline(data, run, overrides=[*NARROW, *more], **chosen)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces") / "data")


@pytest.mark.parametrize("network", ["unet", "global"])
def test_a_run_leaves_pictures_curves_a_model_that_draws_and_its_card(tmp_path: Path, data: Path, network: str) -> None:
    assert train(data, tmp_path / "run", network=network).exit_code == 0
    assert cv2.imread(str(tmp_path / "run/samples/000000016.jpg")).shape[1] > 3 * 64
    assert cv2.imread(str(tmp_path / "run/curves.png")) is not None
    model = load_baseline(tmp_path / "run")
    assert (model.shape.network, model.facts["images"], model.facts["preset"]) == (network, 16, "tiny")
    sketches = np.stack([draw(number, 64)[1] for number in range(3)])
    photos = model.draw(sketches)
    assert (photos.shape, photos.dtype) == ((3, 64, 64, 3), np.uint8)
    assert (photos == model.draw(sketches)).all()
    assert (photos[0] != photos[1]).any()
    # A picture's result does not depend on its batch.
    assert np.abs(photos[1].astype(int) - model.draw(sketches[1:2])[0]).max() <= 1
    whole = checkpoint.read(tmp_path / "run").tensors("generator.ema")
    ours = model.network.state_dict()
    assert all(torch.allclose(ours[name], value, atol=2e-3, rtol=2e-3) for name, value in whole.items())
    card = (tmp_path / "run/baseline.md").read_text()
    assert "8 pairs" in card
    assert "CC0-1.0" in card
    assert "seed 0" in card


@pytest.mark.parametrize("preset", ["tiny", "small", "paper"])
@pytest.mark.parametrize("network", ["unet", "global"])
def test_presets_are_stage_twos_with_about_as_many_parameters(network: str, preset: str) -> None:
    options, settings = plan(network, preset, ["fm-is.lr=4e-4", "ce.lr=1"])
    theirs, own = presets.load("deepfacedrawing", preset, Settings, ["fm-is.lr=4e-4"], stage="fm-is")
    assert options == theirs
    assert settings.lr == 4e-4
    shape = ("ngf", "downs", "blocks")
    shared = GanSettings.model_fields.keys()
    assert settings.model_dump(include=set(shared)) == own.model_dump(include=set(shared))
    assert type(settings).model_fields.keys() - shared == {*shape, "upsample"}
    assert settings.upsample == own.upsample
    with torch.device("meta"):
        count = sum(p.numel() for p in BaselineTask(network, settings, None).generator().parameters())  # type: ignore[arg-type]
        ours = sum(p.numel() for p in FaceGenerator(own.architecture()).parameters())
    assert 0.9 < count / ours < 1.1


@pytest.mark.parametrize("network", ["unet", "global"])
def test_losses_and_discriminators_are_those_of_stage_two(tmp_path: Path, data: Path, network: str) -> None:
    values = {"perceptual": 1.0, "perceptual_size": 32, "perceptual_layers": [1, 2], "augment": {"flip": 0.5}}
    settings = Settings.model_validate({**SMALL, **values})
    stage = small_task("fm-is", data, write_encoders(tmp_path / "encoders.safetensors", settings), **values)
    task = BaselineTask(network, settings, settings.faces(data), held_out=settings.held_out(data))
    batch, same = task.batch(range(4)), stage.batch(range(4))
    assert batch.keys() == same.keys()
    assert all((batch[key] == same[key]).all() for key in batch)
    assert [(p.name, p.modules, p.weights) for p in task.phases()] == [
        (p.name, p.modules, p.weights) for p in stage.phases()
    ]
    photo = torch.from_numpy(batch["photo"]).float() / 127.5 - 1

    theirs = stage.modules()
    told = []
    for one, answer in ((task, photo), (stage, (photo, photo))):
        modules = {**theirs, "generator": _Constant(answer)}
        tensors = {key: torch.from_numpy(value) for key, value in batch.items()}
        with torch.no_grad():
            told.append({**one.generate(modules, tensors), **one.discriminate(modules, tensors)})  # type: ignore[attr-defined]
    assert told[0].keys() == told[1].keys()
    assert all(torch.equal(told[0][key], told[1][key]) for key in told[0])
    assert told[0]["l1"] == told[0]["perceptual"] == 0


class _Constant(torch.nn.Module):
    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, *_: Any) -> Any:
        return self.answer


@pytest.mark.parametrize("network", ["unet", "global"])
def test_going_on_from_a_checkpoint_gives_the_same_bits(tmp_path: Path, data: Path, network: str) -> None:
    settings = Settings.model_validate({**SMALL, "augment": {"flip": 0.5}})
    task = BaselineTask(network, settings, settings.faces(data), held_out=settings.held_out(data))
    fit(task, tmp_path / "whole", QUICK, quiet=True)
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for images in ("000000048", "000000032"):  # as if it had been killed after the first checkpoint
        shutil.rmtree(tmp_path / "cut/checkpoints" / images)
    assert fit(task, tmp_path / "cut", QUICK, quiet=True).images == 48
    for path in (tmp_path / "whole/checkpoints/000000048").iterdir():
        assert path.read_bytes() == (tmp_path / "cut/checkpoints/000000048" / path.name).read_bytes(), path.name
    told = [json.loads(line) for line in (tmp_path / "cut/stats.jsonl").read_text().splitlines()]
    assert [line["images"] for line in told] == [16, 32, 48]


def test_it_learns_what_it_is_shown(tmp_path: Path, data: Path) -> None:
    """Both networks come closer to the photos of eight drawn faces than they were at the start."""
    for network in ("unet", "global"):
        train(
            data, tmp_path / network, "images=480", "batch=8", "save_every=480", "lr=2e-3", "ngf=8", "gan=0",
            "feature_matching=0", "ema_half_life=40", "schedule.kind=constant", network=network,
        )  # fmt: skip
        told = [json.loads(line) for line in (tmp_path / network / "stats.jsonl").read_text().splitlines()]
        assert told[-1]["g.l1"] < 0.6 * told[0]["g.l1"], network


def test_mistakes_are_one_sentence(tmp_path: Path, data: Path) -> None:
    run = tmp_path / "run"
    train(data, run)
    for call, said in (
        (lambda: train(data, run, "lr=1e-3"), "started with other settings"),
        (lambda: train(data, run, network="global"), "task.network"),
        (lambda: train(data, tmp_path / "a", "condition=features"), "no feature maps"),
        (lambda: train(data, tmp_path / "a", network="vae"), "network='vae': unknown; known: unet, global"),
        (lambda: train(data, tmp_path / "a", preset="huge"), "preset='huge': unknown; known: tiny"),
        (lambda: train(data, tmp_path / "a", "size=128"), "fewer than size=128"),
        (lambda: train(data, tmp_path / "a", "downs=6", network="global"), "halves 64 px to nothing"),
        (lambda: export_baseline(tmp_path / "none"), "none"),
    ):
        with pytest.raises(UserError, match=said):
            call()
    path = run / "baseline.safetensors"
    whole = path.read_bytes()
    for content, said in ((whole[:-100], "cannot be read"), (b"nothing", "cannot be read")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=said):
            load_baseline(run)
    path.write_bytes(whole)
    tensors = load_file(path)
    save_file(tensors, path)
    with pytest.raises(UserError, match="holds no baseline"):
        load_baseline(run)


def test_the_command_measures_without_touching_a_folder(tmp_path: Path, data: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("sketchprep.training.budget.SECONDS", 0.0)
    words = ["train", "baseline", "--network", "global", "--data", str(data), "--run", str(tmp_path / "run"), "-n"]
    sets = [word for text in NARROW for word in ("--set", text)]
    result = CliRunner().invoke(main, [*words, "--preset", "tiny", "--device", "cpu", *sets])
    assert result.exit_code == 0, result.output
    assert "images/s" in result.output
    assert not (tmp_path / "run").exists()
