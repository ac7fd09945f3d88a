"""The face model that travels with the package, on sketches that it was never trained on."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from safetensors import safe_open

from sketchprep.cli.main import main
from sketchprep.core import resources, weights
from sketchprep.core.weights_manifest import manifest
from sketchprep.io import images
from sketchprep.models.deepfacedrawing.drawing import pretrained
from sketchprep.models.deepfacedrawing.drawing.ink_placement import ink_matrix
from sketchprep.models.deepfacedrawing.drawing.sketch_input import SketchReader
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer, open_synthesizer
from sketchprep.ops.face_parts import PARTS
from sketchprep.ops.resize import resize
from sketchprep.ops.warp import transform_points
from sketchprep.sketching.landmarks import Landmarker
from sketchprep.sketching.sketcher import face_recipe, face_sketcher

FOLDER = resources.PACKAGE / "data/weights/face"
FILES = {pretrained.MODEL: "deepfacedrawing.safetensors", pretrained.BANK: "bank.safetensors"}
DRAWINGS = sorted((resources.PACKAGE / "data/sketches").glob("*.png"))


@dataclass(frozen=True)
class Portrait:
    """A sketch in the model's frame, with the 68 landmarks of the photo it was made of, in pixels of that frame."""

    sketch: np.ndarray
    points: np.ndarray


@pytest.fixture(scope="module")
def synthesizer() -> Synthesizer:
    return open_synthesizer(device="cpu")


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(weights.path("dlib-landmarks-68"))


@pytest.fixture(scope="module")
def portraits(synthesizer: Synthesizer) -> list[Portrait]:
    """The bundled photos sketched as the model's data were: none of these people is among those."""
    assert synthesizer.bank is not None
    sketcher = face_sketcher(face_recipe(synthesizer.bank.facts))
    found = []
    for path in sorted((resources.PACKAGE / "data/portraits").glob("*.jpg")):
        photo = images.decode(path.read_bytes())
        points = sketcher.landmarks(photo)
        if points is not None:
            sketch, matrix = sketcher.sketch_face(photo, points, synthesizer.size)
            found.append(Portrait(sketch, transform_points(matrix, points)))
    assert len(found) >= 20
    return found


def test_files_and_manifest_go_together() -> None:
    assert set(FILES) <= set(manifest().weights)
    assert FOLDER.is_dir()


def test_sums_and_sizes_are_those_of_the_manifest() -> None:
    for name, file in FILES.items():
        entry, data = manifest().weights[name], (FOLDER / file).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.bytes, entry.sha256)
    assert {path.name for path in FOLDER.iterdir()} == {*FILES.values(), pretrained.CARD}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 40e6


def test_its_licence_is_that_of_its_data_wherever_it_is_told() -> None:
    card = (FOLDER / pretrained.CARD).read_text(encoding="utf-8")
    for text in (card, *(f"{w.licence}. {w.restriction}" for w in map(manifest().weights.__getitem__, FILES))):
        assert re.search("non-commercial", text, re.IGNORECASE)
        assert not re.search(r"Apache|\bMIT\b|CC0|CC.BY|GPL|BSD-|public domain", text)
        assert not re.search(r"(?<!non-)commercial", text, re.IGNORECASE)
    for section in ("Data and licence", "Budget", "Figures", "Faults seen"):
        assert f"## {section}\n\n" in card
    assert "none written down yet" not in card


def test_nothing_of_the_photos_is_in_the_files() -> None:
    with safe_open(FOLDER / FILES[pretrained.BANK], "pt") as file:
        assert set(file.keys()) == {*(f"codes.{part}" for part in PARTS), "ids", "attribute.Male"}
    with safe_open(FOLDER / FILES[pretrained.MODEL], "pt") as file:
        assert {name.split(".")[0] for name in file.keys()} == {"encoders", "generator", "image_decoders"}  # noqa: SIM118


def test_its_bank_has_at_most_4000_faces_known_by_number(synthesizer: Synthesizer) -> None:
    assert synthesizer.bank is not None
    assert 1000 <= len(synthesizer.bank) <= 4000
    assert all(name.isdecimal() for name in synthesizer.bank.ids)
    assert len(synthesizer.bank.split("Male=1")) + len(synthesizer.bank.split("Male=0")) == len(synthesizer.bank)


def test_faces_of_strangers_are_faces_and_lie_where_the_sketch_does(
    synthesizer: Synthesizer, portraits: list[Portrait], landmarker: Landmarker
) -> None:
    faces = synthesizer.synthesize(np.stack([one.sketch for one in portraits])).faces
    distances = []
    for face, one in zip(faces, portraits, strict=True):
        boxes = landmarker.faces(face)
        if len(boxes) == 1:
            off = np.linalg.norm(landmarker.points(face, boxes[0]) - one.points, axis=1).mean()
            distances.append(off / synthesizer.size)
    assert len(distances) >= 0.95 * len(portraits)
    assert np.mean(distances) < 0.04


def test_each_drawing_gives_one_face_of_its_own(
    synthesizer: Synthesizer, landmarker: Landmarker, tmp_path: Path
) -> None:
    words = ["synthesize", *map(str, DRAWINGS), "-o", str(tmp_path), "--device", "cpu"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("non-commercial research only") == 1
    faces = [images.decode((tmp_path / path.name).read_bytes()) for path in DRAWINGS]
    assert [len(landmarker.faces(face)) for face in faces].count(1) >= len(faces) - 1
    for at, face in enumerate(faces):
        for other in faces[:at]:
            assert np.abs(face.astype(int) - other).mean() > 4


def test_a_second_time_gives_the_same_bytes(synthesizer: Synthesizer, portraits: list[Portrait]) -> None:
    sketches = np.stack([one.sketch for one in portraits[:2]])
    again = open_synthesizer(device="cpu").synthesize(sketches).faces
    assert np.array_equal(synthesizer.synthesize(sketches).faces, again)


@pytest.fixture(scope="module")
def pages(portraits: list[Portrait]) -> list[np.ndarray]:
    """Sketches in the frame: two freehand drawings and two of photos."""
    return [images.decode_gray(DRAWINGS[at].read_bytes()) for at in (0, -1)] + [one.sketch for one in portraits[:20:10]]


def test_alignment_leaves_a_drawing_in_the_frame_where_it_lies(
    synthesizer: Synthesizer, pages: list[np.ndarray]
) -> None:
    for page in pages:
        reader = SketchReader(synthesizer.size, align="ink", kind="sketch", synthesizer=synthesizer)
        corners = np.array([(0.0, 0.0), (len(page) - 1.0, len(page) - 1.0)])
        moved = (transform_points(reader.read(page).matrix, corners) + 0.5) * len(page) / synthesizer.size - 0.5
        assert np.abs(moved - corners).max() <= 4 * len(page) / 512


@pytest.mark.parametrize(("turn", "scale", "right"), [(12, 0.65, 40), (0, 1.0, 45)])
def test_alignment_finds_a_drawing_that_is_displaced(
    synthesizer: Synthesizer, pages: list[np.ndarray], turn: float, scale: float, right: float
) -> None:
    features = np.array([(193.0, 247.0), (319.0, 247.0), (256.0, 378.0)])
    off = []
    for page in pages:
        large = resize(page, (512, 512))
        away = cv2.getRotationMatrix2D((255.5, 255.5), turn, scale)
        away[0, 2] += right
        sheet = cv2.warpAffine(large, away, (512, 512), borderValue=255)
        there = ink_matrix(sheet, 512, synthesizer)
        found = transform_points(there, transform_points(away, features))
        off.append(np.linalg.norm(found - features, axis=1).max())
    assert max(off) < 20
    assert np.median(off) < 12
