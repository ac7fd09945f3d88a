"""Lines of real portraits: all parts of the face are drawn; the cache is whole, resumable and says what it left out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from sketchprep.errors import UserError
from sketchprep.models.simplifier.data import face_features, held_out, teacher_lines
from sketchprep.models.simplifier.data import portraits as cache
from sketchprep.models.simplifier.data import strokes as vector
from sketchprep.models.simplifier.data.face_contours import snap
from sketchprep.models.simplifier.data.portraits import Prepared, prepare
from sketchprep.models.simplifier.data.sampler import Mix, PairSampler
from sketchprep.nn import hed
from sketchprep.nn.hed import load_hed

PORTRAITS = Path(cache.resource("data/portraits"))
NAMES = ("female-10", "female-13", "male-00")
MORE = ("female-48", "male-07", "male-12")


@pytest.fixture(scope="module", params=[NAMES, pytest.param((*NAMES, *MORE), marks=pytest.mark.integration)], ids=len)
def names(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param


@pytest.fixture(scope="module")
def prepared(names: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Prepared]]:
    root = tmp_path_factory.mktemp("pairs")
    (root / "photos").mkdir()
    for name in names:
        shutil.copy(PORTRAITS / f"{name}.jpg", root / "photos")
    (root / "photos" / "torn-01.jpg").write_bytes((PORTRAITS / "male-00.jpg").read_bytes()[:9000])
    blank = cv2.imencode(".png", np.full((300, 300, 3), 200, np.uint8))[1]
    (root / "photos" / "wall-02.png").write_bytes(blank.tobytes())
    with pytest.MonkeyPatch.context() as patch:
        if names == NAMES:  # in bfloat16, which most processors only emulate, a portrait takes half a minute
            patch.setattr(hed, "load_hed", lambda path, *, device, dtype: load_hed(path, device=device))
        yield root, prepare(root / "photos", root / "cache")


def everything(root: Path) -> list[cache.Portrait]:
    return [p for side in (False, True) for p in cache.open_portraits(root / "cache", held_out=side)]


def test_every_part_of_the_face_has_its_lines(prepared, names):
    portraits = everything(prepared[0])
    assert len(portraits) == len(names)
    for portrait in portraits:
        sketch = 255 - vector.render(portrait.strokes, portrait.light.shape)
        for part, share in teacher_lines.coverage(sketch, portrait.landmarks).items():
            assert share >= 0.8, (portrait.name, part)
        assert 0.01 < (sketch < 128).mean() < 0.12


def test_both_eyes_have_an_iris(prepared):
    for portrait in everything(prepared[0]):
        sketch = 255 - vector.render(portrait.strokes, portrait.light.shape)
        for side in (slice(36, 42), slice(42, 48)):
            corners = portrait.landmarks[side]
            across = np.hypot(*(corners[3] - corners[0]))
            inside = vector.inside(corners.mean(0) + 0.6 * (corners - corners.mean(0)), sketch.shape)
            assert (sketch[inside] < 128).sum() > 0.5 * across, portrait.name


@pytest.mark.parametrize(("skin", "hair"), [(0.75, 0.3), (0.12, 0.06)])
def test_a_brow_is_outlined_in_light_and_in_shade_and_a_deep_eye_below_is_not_taken_for_it(skin, hair):
    grey = np.full((160, 200), skin, np.float32)
    cv2.line(grey, (60, 60), (140, 60), hair, 11, cv2.LINE_AA)  # rows 55 to 65
    grey[92:] *= 0.5
    points = np.stack([np.linspace(58, 142, 5), np.full(5, 58.0)], 1)
    strokes, area = face_features.brow(grey, np.zeros_like(grey), points)
    assert len(strokes) == 1
    assert np.allclose(strokes[0][0], strokes[0][-1], atol=4)
    drawn = 255 - vector.render(strokes, grey.shape)
    rows = np.flatnonzero(drawn[:, 100] < 128)
    assert abs(rows.min() - 54) <= 2
    assert abs(rows.max() - 66) <= 2
    assert drawn[60, 100] > 200
    assert abs(np.ptp(area[:, 1]) - 11) <= 3


def test_a_brow_that_cannot_be_seen_is_one_line():
    strokes, _ = face_features.brow(
        np.full((160, 200), 0.6, np.float32),
        np.zeros((160, 200), np.float32),
        np.stack([np.linspace(58, 142, 5), np.full(5, 58.0)], 1),
    )
    assert len(strokes) == 1
    assert np.ptp(strokes[0][:, 1]) < 1


def test_unusable_photos_are_left_out_with_a_reason(prepared, names):
    root, done = prepared
    assert sorted(done.portraits) == sorted(names)
    reasons = dict(done.skipped)
    assert set(reasons) == {"torn-01.jpg", "wall-02.png"}
    assert "no face" in reasons["wall-02.png"]
    assert not list((root / "cache").glob("*.tmp"))


def test_preparing_again_changes_nothing(prepared):
    root, done = prepared
    before = {path.name: path.stat().st_mtime_ns for path in (root / "cache").iterdir()}
    again = prepare(root / "photos", root / "cache")
    assert again.portraits == done.portraits
    assert {path.name: path.stat().st_mtime_ns for path in (root / "cache").iterdir()} == before


def test_held_out_portraits_are_not_trained_on(prepared):
    folder = prepared[0] / "cache"
    train = {p.name for p in cache.open_portraits(folder)}
    out = {p.name for p in cache.open_portraits(folder, held_out=True)}
    assert out == {"female-10", "male-00"}
    assert not train & out
    assert {p.name for p in PairSampler(0, cache=folder).portraits} == train
    assert {e.name.rsplit("-", 1)[0] for e in held_out.photocopies(folder)} == out


def test_photocopies_and_their_lines_belong_together(prepared):
    sampler = PairSampler(0, cache=prepared[0] / "cache", mix=Mix(1, 0, 0, 0, 0))
    contrasts = []
    for i in range(24):
        rough, clean, weight = sampler.pair(i)
        assert rough.shape == clean.shape == weight.shape == (256, 256)
        assert weight.min() >= 0.5
        assert (weight >= 1).mean() > 0.5
        near = cv2.dilate((clean < 128).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        if near.mean() > 0.02:
            contrasts.append(float(rough[~near].mean() - rough[near].mean()))
    assert np.mean(np.array(contrasts) > 5) > 0.85
    first, again = sampler.pair(5), PairSampler(0, cache=prepared[0] / "cache", mix=Mix(1, 0, 0, 0, 0)).pair(5)
    np.testing.assert_array_equal(first[0], again[0])


def test_held_out_photocopies_come_with_their_face(prepared):
    for example in held_out.photocopies(prepared[0] / "cache", variants=("gegl",)):
        assert example.rough.shape == example.clean.shape == example.face.shape == (512, 512)
        x, y = np.rint(example.landmarks[30]).astype(int)
        assert example.face[y, x]
        assert not example.face[5, 5]
        assert 0.1 < example.face.mean() < 0.6


def test_folders_that_cannot_be_used_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        prepare(tmp_path / "nowhere", tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures there"):
        prepare(tmp_path / "empty", tmp_path / "cache")


def test_a_damaged_cache_file_is_named(prepared, tmp_path):
    whole = next(iter((prepared[0] / "cache").glob("female-13*.npz")))
    (tmp_path / whole.name).write_bytes(whole.read_bytes()[:1000])
    with pytest.raises(UserError, match="prepare again"):
        cache.open_portraits(tmp_path)


def test_coverage_counts_what_is_near():
    points = np.zeros((68, 2))
    points[:17] = np.stack([np.linspace(20, 180, 17), np.full(17, 150)], 1)
    points[17:] = (100, 60)
    sketch = np.full((200, 200), 255, np.uint8)
    assert teacher_lines.coverage(sketch, points)["jaw"] == 0
    sketch[152, :101] = 0
    assert teacher_lines.coverage(sketch, points)["jaw"] == pytest.approx(0.52, abs=0.03)


def test_snapping_moves_a_line_onto_the_evidence():
    evidence = np.zeros((60, 120), np.float32)
    evidence[33] = 1.0
    line = np.stack([np.arange(10, 110, 1.5), np.full(67, 30.0)], 1)
    moved = snap(line, evidence, reach=4.0)
    assert np.abs(moved[10:-10, 1] - 33).max() <= 0.5
    np.testing.assert_allclose(snap(line, np.zeros_like(evidence), reach=4.0), line)
