"""DeepFaceDrawing's smallest preset learns eight faces by heart, from photos to a model that draws them."""

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

FACES, BATCH = 8, 4
# The preset's networks and losses, half of the steps for either stage: stage 2 keeps what the decoders of stage 1 know,
# and codes and decoders that have learnt nothing give one face for all.
SHORT = [
    f"batch={BATCH}", "workers=0", "threads=2", "stats_every=80", "samples_every=100000", "save_every=100000",
    "ema_half_life=60", "ce.images=1600", "ce.schedule.warm_up=40", "fm-is.images=1600", "fm-is.lr=5.0e-4",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_tiny_draws_eight_faces_by_heart(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for path in sorted(resource("data/portraits").glob("*.jpg"))[:FACES]:
        shutil.copy(path, tmp_path / "photos")
    recipe = {key: value for key, value in QUICK.items() if key != "split"} | {"shard_size": FACES}
    sketchprep.build(recipe=recipe, root=tmp_path / "photos", out=tmp_path / "data", jobs=1, quiet=True)

    run = tmp_path / "run"
    train_deepfacedrawing(tmp_path / "data", run, preset="tiny", overrides=SHORT, device="cpu", quiet=True)

    told = {stage: (run / stage / "stats.jsonl").read_text().splitlines()[-1] for stage in ("ce", "fm-is")}
    assert sum(json.loads(line)["images"] // BATCH for line in told.values()) <= 800  # steps of both stages together
    pairs = PairedFaces(tmp_path / "data", size=128).fixed(FACES)
    drawn = load_face_model(run).draw(pairs["sketch"][:, 0])
    photos = pairs["photo"].transpose(0, 2, 3, 1)
    assert len(photos) == FACES
    errors = np.abs(drawn.astype(float) - photos).mean((1, 2, 3)) / 255
    assert errors.mean() < 0.05
    # By heart means each its own: nobody else's photo is as near.
    for picture, own in zip(drawn, range(FACES), strict=True):
        others = np.abs(picture.astype(float) - photos).mean((1, 2, 3))
        assert others.argmin() == own
