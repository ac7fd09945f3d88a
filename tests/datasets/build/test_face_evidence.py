"""Only photos of whole, upright faces become pairs; what is turned, damaged or out of the frame is a row."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from portraits import FRONTAL, portrait

import sketchprep
from sketchprep.datasets import verify
from sketchprep.errors import UserError
from sketchprep.sketching.landmarks import open_landmarker

RECIPE: dict[str, Any] = {
    "name": "faces",
    "sources": ["folder"],
    "size": 128,
    "shard_size": 4,
    "stages": {"photocopy": {}},
    "sketch": "photocopy",
    "split": {"method": "none"},
}
NAMES = [name for name in FRONTAL if portrait(name).exists()]


def read(name: str) -> np.ndarray:
    return np.asarray(cv2.imread(str(portrait(name))))


def build(tmp_path: Path, pictures: dict[str, np.ndarray], **recipe: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Build from pictures; rows of the pairs, and (kind, message) of the others, by name."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, picture in pictures.items():
        assert cv2.imwrite(str(photos / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return built(tmp_path / "out", photos, {**RECIPE, **recipe})


def built(out: Path, root: Path, recipe: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    sketchprep.build(recipe=recipe, root=root, out=out, jobs=1, quiet=True)
    pairs = {row["id"].split(".")[0]: row for row in pq.read_table(out / "index.parquet").to_pylist()}
    rows = pq.read_table(out / "failures.parquet").to_pylist()
    return pairs, {row["id"].split(".")[0]: (row["kind"], row["message"]) for row in rows}


def turned(picture: np.ndarray, quarters: int) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(picture, -quarters))


@pytest.mark.parametrize("landmarks", ["dlib", "mediapipe"])
def test_turned_heads_are_rows_with_their_angle(tmp_path: Path, landmarks: str) -> None:
    names = ["female-10", "female-47", "male-44", "male-07"]  # dlib takes some of them for faces upside down too
    pictures = {name: turned(read(name), quarters) for name, quarters in zip(names, (2, 2, 2, 1), strict=True)}
    pairs, rows = build(tmp_path, {**pictures, "upright": read("male-07")}, landmarks=landmarks)
    assert set(pairs) == {"upright"}
    assert pairs["upright"]["face_score"] > 10
    assert {rows[name][0] for name in names} == {"pose"}
    assert "upside down, turned by 1" in rows["female-10"][1]
    assert "on its side" in rows["male-07"][1]
    assert "rotate=true" in rows["male-07"][1]


def test_rotate_turns_the_photo_and_its_matrix_with_it(tmp_path: Path) -> None:
    wide = read("male-07")[100:900]
    pairs, rows = build(tmp_path, {f"q{q}": turned(wide, q) for q in range(4)}, rotate=True)
    assert not rows
    for quarters in range(4):
        row, width = pairs[f"q{quarters}"], wide.shape[1] if quarters % 2 == 0 else wide.shape[0]
        assert row["width"] == width
        matrix = np.array(row["matrix"]).reshape(2, 3)
        original = cv2.cvtColor(cv2.imread(str(tmp_path / "photos" / f"q{quarters}.jpg")), cv2.COLOR_BGR2RGB)
        again = cv2.warpAffine(original, matrix, (128, 128), flags=cv2.INTER_AREA)
        stored = sketchprep.open_pairs(tmp_path / "out")[row["ordinal"]].photo
        inner = slice(20, 108)
        assert np.abs(again[inner, inner].astype(int) - stored[inner, inner]).mean() < 12
        points = np.array(row["landmarks"]).reshape(68, 2)
        upright = np.array(pairs["q0"]["landmarks"]).reshape(68, 2)
        assert np.linalg.norm(points - upright, axis=1).mean() < 3


def test_one_face_means_that_the_whole_picture_was_looked_at(tmp_path: Path) -> None:
    first, second = read("male-07"), read("female-13")
    height = first.shape[0]
    small = cv2.resize(second, (height // 3, height // 3), interpolation=cv2.INTER_AREA)
    both = np.full((height, height + len(small), 3), 127, np.uint8)
    both[:, :height] = first
    both[-len(small) :, height:] = small
    pairs, rows = build(tmp_path, {"both": both})
    assert not pairs
    assert rows["both"][0] == "several-faces"
    assert "times as large" in rows["both"][1]
    shutil.rmtree(tmp_path / "photos")
    (tmp_path / "more").mkdir()
    assert set(build(tmp_path / "more", {"both": both}, select={"one_face": False})[0]) == {"both"}


def celeba(tmp_path: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """A corpus in CelebA-HQ's layout: aligned portraits, whole and changed."""
    photos = tmp_path / "corpus" / "CelebA-HQ-img"
    photos.mkdir(parents=True)
    for number, name in enumerate(NAMES[:3]):
        rgb = sketchprep.align(portrait(name), size=256).image
        for at, picture in ((number, rgb), (10 + number, change(rgb))):
            cv2.imwrite(str(photos / f"{at}.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return tmp_path / "corpus"


def erased(rgb: np.ndarray) -> np.ndarray:
    rgb = rgb.copy()
    rgb[:, 128:] = rgb.mean(axis=(0, 1))
    return rgb


CHANGES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], set[str]]] = {
    "upside down": (lambda rgb: turned(rgb, 2), {"not-aligned"}),
    "rolled": (lambda rgb: np.roll(rgb, (64, -64), (0, 1)), {"not-aligned", "no-face"}),
    "half erased": (erased, {"no-face"}),
    "nothing": (lambda rgb: np.full_like(rgb, rgb.mean()), {"no-face"}),
}


@pytest.mark.parametrize("how", CHANGES)
def test_photos_of_an_aligned_corpus_are_looked_at_too(tmp_path: Path, how: str) -> None:
    change, kinds = CHANGES[how]
    recipe = {**RECIPE, "sources": ["celebamask-hq"]}
    pairs, rows = built(tmp_path / "out", celeba(tmp_path, change), recipe)
    assert set(pairs) == {"00000", "00001", "00002"}
    assert {kind for kind, _ in rows.values()} <= kinds


def test_without_a_score_to_reach_nothing_is_asked(tmp_path: Path) -> None:
    root = celeba(tmp_path, lambda rgb: turned(rgb, 2))
    recipe = {**RECIPE, "sources": ["celebamask-hq"], "select": {"min_face_score": None}}
    pairs, rows = built(tmp_path / "out", root, recipe)
    assert len(pairs) == 6
    assert not rows
    assert {row["face_score"] for row in pairs.values()} == {None}


def test_a_dataset_that_was_begun_without_the_check_goes_on_without(tmp_path: Path) -> None:
    """As it was stored before there were these keys and this column: same hash, same bytes, and the tables merge."""
    import yaml

    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for name in NAMES[:6]:
        shutil.copy(portrait(name), photos)
    built(out, photos, {**RECIPE, "select": {"min_face_score": None}})
    stored = yaml.safe_load((out / "recipe.yaml").read_text())
    for key in ("landmarks", "rotate"):
        del stored["recipe"][key]
    del stored["recipe"]["select"]["min_face_score"]
    (out / "recipe.yaml").write_text(yaml.safe_dump(stored))
    first, second = sorted((out / "shards").glob("*.parquet"))
    table = pq.read_table(first).drop_columns(["face_score", "unseen"])
    pq.write_table(table, first)
    tar = second.with_suffix(".tar").read_bytes()
    second.unlink()
    pairs, _ = built(out, photos, RECIPE)
    assert second.with_suffix(".tar").read_bytes() == tar
    assert yaml.safe_load((out / "recipe.yaml").read_text()) == stored
    assert len(pairs) == len(NAMES[:6])
    assert verify.verify(out) == []
    with pytest.raises(UserError, match="min_face_score"):
        built(out, photos, {**RECIPE, "select": {"min_face_score": 10}})


def test_features_that_are_not_seen_are_named_and_can_be_refused(tmp_path: Path) -> None:
    picture = read("male-07")
    points = open_landmarker().largest(picture[..., ::-1])
    assert points is not None
    apart = np.linalg.norm(points[42:48].mean(0) - points[36:42].mean(0))
    covered = picture.copy()
    for eye in (points[36:42], points[42:48]):
        x, y = np.rint(eye.mean(axis=0)).astype(int).tolist()
        cv2.ellipse(covered, (x, y), (int(0.42 * apart), int(0.3 * apart)), 0, 0, 360, (14, 14, 16), -1, cv2.LINE_AA)
    pairs, rows = build(tmp_path, {"plain": picture, "covered": covered})
    assert not rows
    assert pairs["plain"]["unseen"] == []
    assert pairs["covered"]["unseen"] == ["left_eye", "right_eye"]
    (tmp_path / "more").mkdir()
    pairs, rows = build(tmp_path / "more", {"plain": picture, "covered": covered}, select={"max_unseen": 1})
    assert set(pairs) == {"plain"}
    assert rows["covered"] == ("unseen", "2 features are not seen (left eye, right eye), over the limit of 1")
