"""DeepFaceDrawing's smallest preset learns faces by heart, from photos to a model that draws them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from quick import QUICK

import sketchprep
from sketchprep.core.resources import resource
from sketchprep.models.deepfacedrawing.networks.model import load_face_model
from sketchprep.models.deepfacedrawing.training.train import train_deepfacedrawing
from sketchprep.training.paired_data import PairedFaces

# The preset's networks and losses, half of the steps for either stage: stage 2 keeps what the decoders of stage 1 know,
# and codes and decoders that have learnt nothing give one face for all.
EIGHT = [
    "batch=4", "threads=2", "stats_every=80", "ema_half_life=60", "ce.images=1600", "ce.schedule.warm_up=40",
    "fm-is.images=1600", "fm-is.lr=5.0e-4",
]  # fmt: skip
# Narrower networks without the perceptual loss, for two faces of 64 px.
TWO = [
    "size=64", "latent=64", "width=8", "narrow=16", "fm_channels=8", "fm_width=8", "ngf=8", "blocks=3", "ndf=16",
    "perceptual=0", "batch=2", "threads=1", "precision=float32", "stats_every=20", "ema_half_life=20", "ce.images=160",
    "ce.schedule.warm_up=10", "fm-is.images=200", "fm-is.lr=1.0e-3",
]  # fmt: skip
REST = ["workers=0", "samples_every=100000", "save_every=100000"]


@pytest.mark.parametrize(
    ("faces", "size", "batch", "changes"),
    [
        pytest.param(2, 64, 2, TWO, id="two"),
        pytest.param(8, 128, 4, EIGHT, id="eight", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def test_tiny_draws_faces_by_heart(tmp_path: Path, faces: int, size: int, batch: int, changes: list[str]) -> None:
    (tmp_path / "photos").mkdir()
    for path in sorted(resource("data/portraits").glob("*.jpg"))[:faces]:
        shutil.copy(path, tmp_path / "photos")
    recipe = {key: value for key, value in QUICK.items() if key != "split"} | {"shard_size": faces, "size": size}
    sketchprep.build(recipe=recipe, root=tmp_path / "photos", out=tmp_path / "data", jobs=1, quiet=True)

    run = tmp_path / "run"
    train_deepfacedrawing(tmp_path / "data", run, preset="tiny", overrides=[*changes, *REST], device="cpu", quiet=True)

    told = {stage: (run / stage / "stats.jsonl").read_text().splitlines()[-1] for stage in ("ce", "fm-is")}
    assert sum(json.loads(line)["images"] // batch for line in told.values()) <= 800  # steps of both stages together
    pairs = PairedFaces(tmp_path / "data", size=size).fixed(faces)
    drawn = load_face_model(run).draw(pairs["sketch"][:, 0])
    photos = pairs["photo"].transpose(0, 2, 3, 1)
    assert len(photos) == faces
    errors = np.abs(drawn.astype(float) - photos).mean((1, 2, 3)) / 255
    assert errors.mean() < 0.05
    # By heart means each its own: nobody else's photo is as near.
    for picture, own in zip(drawn, range(faces), strict=True):
        others = np.abs(picture.astype(float) - photos).mean((1, 2, 3))
        assert others.argmin() == own
