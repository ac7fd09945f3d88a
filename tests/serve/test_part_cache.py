"""Decoded parts: kept in memory or a file, prepared beforehand, and the shadow made of them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sketchprep.models.deepfacedrawing.drawing.shadow import FAINTNESS, shadows
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer
from sketchprep.ops.face_parts import PARTS
from sketchprep.serve import pictures
from sketchprep.serve.drawing import DrawingService
from sketchprep.serve.part_cache import PartCache
from sketchprep.serve.part_cache import _frame as frame_of


def prepared(synthesizer: Synthesizer, folder: Path | None) -> PartCache:
    gallery = PartCache(synthesizer, folder=folder)
    while gallery.prepare():
        pass
    return gallery


def without_decoders(synthesizer: Synthesizer) -> Synthesizer:
    """Whoever would draw a part with a network fails."""
    found = copy.copy(synthesizer)
    found.model = copy.copy(synthesizer.model)
    found.model.image_decoders = None  # type: ignore[assignment]
    return found


def test_each_part_is_decoded_once(synthesizer: Synthesizer) -> None:
    gallery = PartCache(synthesizer)
    first = gallery.sketches("nose", [3, 5, 3, 9])
    assert gallery.decoded == 3
    again = gallery.sketches("nose", [5, 9, 11])
    assert gallery.decoded == 4
    assert np.array_equal(first[5], again[5])
    assert gallery.sketches("mouth", [5])[5].shape != first[5].shape
    assert gallery.decoded == 5


def test_memory_is_bounded(synthesizer: Synthesizer) -> None:
    gallery = PartCache(synthesizer, memory=5 * 64 * 64)
    assert isinstance(gallery.kept, pictures.InMemory)
    for row in range(20):
        found = gallery.sketches("remainder", [row])
        assert found[row].shape == (64, 64)
        assert gallery.kept.nbytes <= 5 * 64 * 64
    gallery.sketches("remainder", [19, 18])
    assert gallery.decoded == 20
    assert not gallery.prepare()  # what would drop others is not prepared


def test_a_prepared_gallery_needs_no_network(
    synthesizer: Synthesizer, service: DrawingService, canvases: list[bytes]
) -> None:
    gallery = prepared(synthesizer, None)
    assert gallery.ready == 1
    assert gallery.decoded == len(PARTS) * gallery.faces
    gallery.synthesizer = without_decoders(synthesizer)
    for canvas in canvases:
        gallery.shadow(synthesizer.project(synthesizer.encode(service.sketch(canvas)[None])))
    assert gallery.decoded == len(PARTS) * gallery.faces


def test_the_file_serves_the_next_start(synthesizer: Synthesizer, tmp_path: Path) -> None:
    first = prepared(synthesizer, tmp_path)
    assert isinstance(first.kept, pictures.InFile)
    (file,) = tmp_path.iterdir()
    second = PartCache(synthesizer, folder=tmp_path)
    second.synthesizer = without_decoders(synthesizer)
    assert not second.prepare()
    for part in PARTS:
        ours, theirs = first.sketches(part, range(40)), second.sketches(part, range(40))
        assert all(np.array_equal(ours[row], theirs[row]) for row in range(40))
        assert np.array_equal(theirs[7], PartCache(synthesizer).sketches(part, [7])[7])
    assert second.decoded == 0
    file.write_bytes(file.read_bytes()[:-1])  # not as long as it has to be: begun anew
    assert prepared(synthesizer, tmp_path).decoded == len(PARTS) * 40


def test_an_interrupted_file_lacks_pictures_and_has_no_wrong_ones(synthesizer: Synthesizer, tmp_path: Path) -> None:
    gallery = PartCache(synthesizer, folder=tmp_path)
    for _ in range(3):
        gallery.prepare()
    gallery.kept.flush()
    gallery.sketches("nose", [1])  # kept, but not made sure of
    again = PartCache(synthesizer, folder=tmp_path)
    there = {(part, row) for part in PARTS for row in range(40) if again.kept.has(part, row)}
    assert there == {("left_eye", row) for row in range(24)}
    assert np.array_equal(again.sketches("left_eye", [23])[23], gallery.sketches("left_eye", [23])[23])


def test_another_bank_has_another_file(synthesizer: Synthesizer, tmp_path: Path) -> None:
    prepared(synthesizer, tmp_path)
    other = copy.copy(synthesizer)
    assert synthesizer.bank is not None
    other.bank = copy.copy(synthesizer.bank)
    object.__setattr__(other.bank, "by_part", synthesizer.bank.by_part.flip(1).contiguous())
    assert prepared(other, tmp_path).decoded > 0
    assert len(list(tmp_path.iterdir())) == 2
    for number in range(pictures.FILES + 2):
        pictures.make(tmp_path, f"of-{number}", {"nose": 4}, 3)
    assert len(list(tmp_path.iterdir())) == pictures.FILES


@pytest.mark.parametrize("why", ["full disk", "a file in the way"])
def test_without_room_pictures_stay_in_memory(
    synthesizer: Synthesizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    folder = tmp_path / "parts"
    if why == "full disk":
        usage: Any = type("Usage", (), {"free": 1000})
        monkeypatch.setattr(pictures.shutil, "disk_usage", lambda _: usage)
    else:
        folder.write_bytes(b"")
    gallery = PartCache(synthesizer, folder=folder)
    assert isinstance(gallery.kept, pictures.InMemory)
    assert gallery.sketches("nose", [3])[3].shape == (20, 20)
    assert folder.is_file() or not list(folder.iterdir())


def test_its_shadow_is_the_models(synthesizer: Synthesizer, service: DrawingService, canvases: list[bytes]) -> None:
    projection = synthesizer.project(synthesizer.encode(service.sketch(canvases[0])[None]))
    full = PartCache(synthesizer).shadow(projection).astype(float)
    faint = 255 - FAINTNESS * (255 - full)
    assert np.abs(faint - shadows(synthesizer, projection)[0]).max() <= 3  # levels are rounded before they are added
    assert full.min() < full.max()


def test_pictures_may_be_smaller_than_the_models(synthesizer: Synthesizer) -> None:
    full = PartCache(synthesizer).sketches("remainder", [3])[3].astype(float)
    gallery = PartCache(synthesizer)
    gallery.sides = gallery.sides | {"remainder": 32}
    small = gallery.sketches("remainder", [3])[3]
    assert small.shape == (32, 32)
    assert np.abs(full.reshape(32, 2, 32, 2).mean(axis=(1, 3)) - small).max() <= 1


@pytest.mark.parametrize(("size", "faces", "frame"), [(64, 10, 64), (128, 17_703, 128), (512, 4_000, 256)])
def test_the_files_size_is_bounded(size: int, faces: int, frame: int) -> None:
    assert frame_of(size, faces) == frame
    assert 64 <= frame_of(size, 100_000) < 256


def test_a_fine_pen_is_seen_as_well_as_a_broad_one(service: DrawingService) -> None:
    import cv2

    from sketchprep.io import images

    darkest = []
    for width in (1, 4):
        page = np.full((512, 512), 255, np.uint8)
        cv2.circle(page, (256, 256), 150, 0, width, cv2.LINE_AA)
        darkest.append(service.sketch(images.encode_png(page)).min())
    assert darkest[0] < darkest[1] + 40
