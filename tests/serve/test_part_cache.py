"""Decoded parts: kept in memory or a file, prepared beforehand, and the shadow made of them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sketchprep.models.deepfacedrawing.drawing.shadow import FAINTNESS, shadows
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Artist
from sketchprep.ops.face_parts import PARTS
from sketchprep.serve import pictures
from sketchprep.serve.drawing import Studio
from sketchprep.serve.part_cache import Gallery
from sketchprep.serve.part_cache import _frame as frame_of


def prepared(artist: Artist, folder: Path | None) -> Gallery:
    gallery = Gallery(artist, folder=folder)
    while gallery.prepare():
        pass
    return gallery


def without_decoders(artist: Artist) -> Artist:
    """Whoever would draw a part with a network fails."""
    found = copy.copy(artist)
    found.model = copy.copy(artist.model)
    found.model.image_decoders = None  # type: ignore[assignment]
    return found


def test_each_part_is_decoded_once(artist: Artist) -> None:
    gallery = Gallery(artist)
    first = gallery.sketches("nose", [3, 5, 3, 9])
    assert gallery.decoded == 3
    again = gallery.sketches("nose", [5, 9, 11])
    assert gallery.decoded == 4
    assert np.array_equal(first[5], again[5])
    assert gallery.sketches("mouth", [5])[5].shape != first[5].shape
    assert gallery.decoded == 5


def test_memory_is_bounded(artist: Artist) -> None:
    gallery = Gallery(artist, memory=5 * 64 * 64)
    assert isinstance(gallery.kept, pictures.InMemory)
    for row in range(20):
        found = gallery.sketches("remainder", [row])
        assert found[row].shape == (64, 64)
        assert gallery.kept.nbytes <= 5 * 64 * 64
    gallery.sketches("remainder", [19, 18])
    assert gallery.decoded == 20
    assert not gallery.prepare()  # what would drop others is not prepared


def test_a_prepared_gallery_needs_no_network(artist: Artist, studio: Studio, canvases: list[bytes]) -> None:
    gallery = prepared(artist, None)
    assert gallery.ready == 1
    assert gallery.decoded == len(PARTS) * gallery.faces
    gallery.artist = without_decoders(artist)
    for canvas in canvases:
        gallery.shadow(artist.project(artist.encode(studio.sketch(canvas)[None])))
    assert gallery.decoded == len(PARTS) * gallery.faces


def test_the_file_serves_the_next_start(artist: Artist, tmp_path: Path) -> None:
    first = prepared(artist, tmp_path)
    assert isinstance(first.kept, pictures.InFile)
    (file,) = tmp_path.iterdir()
    second = Gallery(artist, folder=tmp_path)
    second.artist = without_decoders(artist)
    assert not second.prepare()
    for part in PARTS:
        ours, theirs = first.sketches(part, range(40)), second.sketches(part, range(40))
        assert all(np.array_equal(ours[row], theirs[row]) for row in range(40))
        assert np.array_equal(theirs[7], Gallery(artist).sketches(part, [7])[7])
    assert second.decoded == 0
    file.write_bytes(file.read_bytes()[:-1])  # not as long as it has to be: begun anew
    assert prepared(artist, tmp_path).decoded == len(PARTS) * 40


def test_an_interrupted_file_lacks_pictures_and_has_no_wrong_ones(artist: Artist, tmp_path: Path) -> None:
    gallery = Gallery(artist, folder=tmp_path)
    for _ in range(3):
        gallery.prepare()
    gallery.kept.flush()
    gallery.sketches("nose", [1])  # kept, but not made sure of
    again = Gallery(artist, folder=tmp_path)
    there = {(part, row) for part in PARTS for row in range(40) if again.kept.has(part, row)}
    assert there == {("left_eye", row) for row in range(24)}
    assert np.array_equal(again.sketches("left_eye", [23])[23], gallery.sketches("left_eye", [23])[23])


def test_another_bank_has_another_file(artist: Artist, tmp_path: Path) -> None:
    prepared(artist, tmp_path)
    other = copy.copy(artist)
    assert artist.bank is not None
    other.bank = copy.copy(artist.bank)
    object.__setattr__(other.bank, "by_part", artist.bank.by_part.flip(1).contiguous())
    assert prepared(other, tmp_path).decoded > 0
    assert len(list(tmp_path.iterdir())) == 2
    for number in range(pictures.FILES + 2):
        pictures.make(tmp_path, f"of-{number}", {"nose": 4}, 3)
    assert len(list(tmp_path.iterdir())) == pictures.FILES


@pytest.mark.parametrize("why", ["full disk", "a file in the way"])
def test_without_room_pictures_stay_in_memory(
    artist: Artist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    folder = tmp_path / "parts"
    if why == "full disk":
        usage: Any = type("Usage", (), {"free": 1000})
        monkeypatch.setattr(pictures.shutil, "disk_usage", lambda _: usage)
    else:
        folder.write_bytes(b"")
    gallery = Gallery(artist, folder=folder)
    assert isinstance(gallery.kept, pictures.InMemory)
    assert gallery.sketches("nose", [3])[3].shape == (20, 20)
    assert folder.is_file() or not list(folder.iterdir())


def test_its_shadow_is_the_models(artist: Artist, studio: Studio, canvases: list[bytes]) -> None:
    projection = artist.project(artist.encode(studio.sketch(canvases[0])[None]))
    full = Gallery(artist).shadow(projection).astype(float)
    faint = 255 - FAINTNESS * (255 - full)
    assert np.abs(faint - shadows(artist, projection)[0]).max() <= 3  # levels are rounded before they are added
    assert full.min() < full.max()


def test_pictures_may_be_smaller_than_the_models(artist: Artist) -> None:
    full = Gallery(artist).sketches("remainder", [3])[3].astype(float)
    gallery = Gallery(artist)
    gallery.sides = gallery.sides | {"remainder": 32}
    small = gallery.sketches("remainder", [3])[3]
    assert small.shape == (32, 32)
    assert np.abs(full.reshape(32, 2, 32, 2).mean(axis=(1, 3)) - small).max() <= 1


@pytest.mark.parametrize(("size", "faces", "frame"), [(64, 10, 64), (128, 17_703, 128), (512, 4_000, 256)])
def test_the_files_size_is_bounded(size: int, faces: int, frame: int) -> None:
    assert frame_of(size, faces) == frame
    assert 64 <= frame_of(size, 100_000) < 256


def test_a_fine_pen_is_seen_as_well_as_a_broad_one(studio: Studio) -> None:
    import cv2

    from sketchprep.io import images

    darkest = []
    for width in (1, 4):
        page = np.full((512, 512), 255, np.uint8)
        cv2.circle(page, (256, 256), 150, 0, width, cv2.LINE_AA)
        darkest.append(studio.sketch(images.encode_png(page)).min())
    assert darkest[0] < darkest[1] + 40
