"""How like two pictures are, on real faces in the frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from portraits import PORTRAITS

from sketchprep.errors import UserError
from sketchprep.evaluation.identity import Descriptor
from sketchprep.evaluation.paired_metrics import PairedMetrics
from sketchprep.nn.perceptual import load_perceptual
from sketchprep.ops.align import align


@pytest.fixture(scope="module")
def judge() -> PairedMetrics:
    return PairedMetrics()


@pytest.fixture(scope="module")
def faces(judge: PairedMetrics) -> list[np.ndarray]:
    """Two people in the frame at 128 px."""
    found = []
    for name in ("female-13", "male-07"):
        photo = np.ascontiguousarray(cv2.imread(str(PORTRAITS / f"{name}.jpg"))[..., ::-1])
        points = judge.landmarker.points(photo, judge.landmarker.faces(photo)[0])
        found.append(align(photo, points, size=128).image)
    return found


def test_a_photo_is_like_itself(judge: PairedMetrics, faces: list[np.ndarray]) -> None:
    figures, described = judge.compare(faces[0], judge.reference(faces[0]))
    assert figures["l1"] == figures["perceptual"] == figures["identity"] == 0
    assert figures["ssim"] == pytest.approx(1)
    assert figures["found"] == 1
    assert figures["off"] < 0.02
    assert described.shape == (128,)


def test_the_descriptor_tells_people_apart_not_light_or_size(judge: PairedMetrics, faces: list[np.ndarray]) -> None:
    first, second = (judge.reference(face) for face in faces)
    darker = (faces[0] * 0.8).astype(np.uint8)
    larger = cv2.resize(faces[0], (256, 256), interpolation=cv2.INTER_CUBIC)
    own = [judge.describe(darker, first.points), judge.describe(larger, (first.points + 0.5) * 2 - 0.5)]
    apart = np.linalg.norm(first.described - second.described)
    assert apart > 0.45
    assert all(np.linalg.norm(one - first.described) < apart / 2 for one in own)


def test_figures_of_a_moved_and_a_missing_face(judge: PairedMetrics, faces: list[np.ndarray]) -> None:
    wanted = judge.reference(faces[0])
    moved = np.roll(faces[0], 6, axis=1)
    figures, _ = judge.compare(moved, wanted)
    assert figures["off"] == pytest.approx(6 / 128, abs=0.015)
    none, _ = judge.compare(np.full_like(faces[0], 128), wanted)
    assert none["found"] == 0
    assert none["off"] is None
    assert none["ssim"] < figures["ssim"] < 1
    assert none["identity"] > 0.6


def test_l1_and_perceptual_distance_are_the_training_s(judge: PairedMetrics, faces: list[np.ndarray]) -> None:
    black, white = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    points = judge.reference(faces[0]).points / 2
    assert judge.compare(white, judge.reference(black, points))[0]["l1"] == 1
    made, wanted = (torch.from_numpy(face).movedim(-1, 0)[None].float() / 127.5 - 1 for face in faces)
    theirs = float(load_perceptual()(made, wanted))
    ours = judge.compare(faces[0], judge.reference(faces[1]))[0]["perceptual"]
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_missing_and_foreign_descriptors_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.dat").write_bytes(b"no network")
    with pytest.raises(UserError, match="is no face descriptor of dlib"):
        Descriptor(tmp_path / "other.dat")
    monkeypatch.setenv("SKETCHPREP_CACHE", str(tmp_path / "empty"))
    with pytest.raises(UserError, match="sketchprep fetch dlib-face-descriptor"):
        PairedMetrics(offline=True)
    assert not list((tmp_path / "empty").rglob("*.dat"))
