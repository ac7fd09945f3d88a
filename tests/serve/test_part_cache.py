"""The cache of decoded parts: in memory or a mapped file, filled beforehand, and the shadow made of it."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sketchprep.models.deepfacedrawing.drawing.shadow import FAINTNESS, shadows
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer
from sketchprep.ops.face_parts import PARTS
from sketchprep.serve import part_cache
from sketchprep.serve.drawing import DrawingService
from sketchprep.serve.part_cache import PartCache
from sketchprep.serve.part_cache import _frame as frame_of


def prepared(synthesizer: Synthesizer, folder: Path | None) -> PartCache:
    cache = PartCache(synthesizer, folder=folder)
    while cache.prepare():
        pass
    return cache


def without_decoders(synthesizer: Synthesizer) -> Synthesizer:
    """Whoever would draw a part with a network fails."""
    found = copy.copy(synthesizer)
    found.model = copy.copy(synthesizer.model)
    found.model.image_decoders = None  # type: ignore[assignment]
    return found


def test_each_part_is_decoded_once(synthesizer: Synthesizer) -> None:
    cache = PartCache(synthesizer)
    first = cache.sketches("nose", [3, 5, 3, 9])
    assert cache.decoded == 3
    again = cache.sketches("nose", [5, 9, 11])
    assert cache.decoded == 4
    assert np.array_equal(first[5], again[5])
    assert cache.sketches("mouth", [5])[5].shape != first[5].shape
    assert cache.decoded == 5


def test_memory_is_bounded(synthesizer: Synthesizer) -> None:
    cache = PartCache(synthesizer, memory=5 * 64 * 64)
    assert cache.path is None
    for row in range(20):
        found = cache.sketches("remainder", [row])
        assert found[row].shape == (64, 64)
        assert cache.nbytes <= 5 * 64 * 64
    cache.sketches("remainder", [19, 18])
    assert cache.decoded == 20
    assert not cache.prepare()  # what would drop others is not prepared


def test_a_prepared_cache_needs_no_network(
    synthesizer: Synthesizer, service: DrawingService, canvases: list[bytes]
) -> None:
    cache = prepared(synthesizer, None)
    assert cache.ready == 1
    assert cache.decoded == len(PARTS) * cache.faces
    cache.synthesizer = without_decoders(synthesizer)
    for canvas in canvases:
        cache.shadow(synthesizer.project(synthesizer.encode(service.sketch(canvas)[None])))
    assert cache.decoded == len(PARTS) * cache.faces


def test_the_file_serves_the_next_start(synthesizer: Synthesizer, tmp_path: Path) -> None:
    first = prepared(synthesizer, tmp_path)
    (file,) = tmp_path.iterdir()
    assert first.path == file
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
    cache = PartCache(synthesizer, folder=tmp_path)
    for _ in range(3):
        cache.prepare()
    cache.flush()
    cache.sketches("nose", [1])  # kept, but not made sure of
    again = PartCache(synthesizer, folder=tmp_path)
    there = {(part, row) for part in PARTS for row in range(40) if again.has(part, row)}
    assert there == {("left_eye", row) for row in range(24)}
    assert np.array_equal(again.sketches("left_eye", [23])[23], cache.sketches("left_eye", [23])[23])


@pytest.mark.parametrize("fault", ["cut", "longer", "foreign", "empty", "sparse"])
def test_a_file_that_is_not_the_caches_is_replaced(synthesizer: Synthesizer, tmp_path: Path, fault: str) -> None:
    first = prepared(synthesizer, tmp_path)
    assert first.path is not None
    expected, data = first.sketches("nose", [7])[7].copy(), first.path.read_bytes()
    wrong = {"cut": data[: len(data) // 2], "longer": data + b"\0", "foreign": bytes([1]) * len(data), "empty": b""}
    if fault == "sparse":  # as after a power cut before anything reached the disk
        os.truncate(first.path, 0)
        os.truncate(first.path, len(data))
    else:
        first.path.write_bytes(wrong[fault])
    second = PartCache(synthesizer, folder=tmp_path)
    assert np.array_equal(second.sketches("nose", [7])[7], expected)
    assert second.decoded == 1
    assert [path.name for path in tmp_path.iterdir()] == [first.path.name]


def test_two_servers_share_a_file(synthesizer: Synthesizer, tmp_path: Path) -> None:
    first, second = PartCache(synthesizer, folder=tmp_path), PartCache(synthesizer, folder=tmp_path)
    first.sketches("nose", range(20))
    second.sketches("nose", range(20, 40))
    first.flush()
    second.flush()
    third = PartCache(synthesizer, folder=tmp_path)
    third.synthesizer = without_decoders(synthesizer)
    assert len(third.sketches("nose", range(40))) == 40


def test_replacing_a_file_leaves_who_has_it_mapped_alone(synthesizer: Synthesizer, tmp_path: Path) -> None:
    first = prepared(synthesizer, tmp_path)
    expected = first.sketches("mouth", [5])[5].copy()
    assert first.path is not None
    first.path.unlink()
    first.path.write_bytes(b"cut")
    prepared(synthesizer, tmp_path)
    assert np.array_equal(first.sketches("mouth", [5])[5], expected)


def test_another_bank_has_another_file(synthesizer: Synthesizer, tmp_path: Path) -> None:
    prepared(synthesizer, tmp_path)
    other = copy.copy(synthesizer)
    assert synthesizer.bank is not None
    other.bank = copy.copy(synthesizer.bank)
    object.__setattr__(other.bank, "by_part", synthesizer.bank.by_part.flip(1).contiguous())
    assert prepared(other, tmp_path).decoded > 0
    assert len(list(tmp_path.iterdir())) == 2
    for number in range(part_cache.MAX_FILES + 2):
        (tmp_path / f"of-{number}.parts").write_bytes(b"")
        prepared(other, tmp_path)
    assert len(list(tmp_path.iterdir())) == part_cache.MAX_FILES


@pytest.mark.parametrize("why", ["full disk", "a file in the way"])
def test_without_room_pictures_stay_in_memory(
    synthesizer: Synthesizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    folder = tmp_path / "parts"
    if why == "full disk":
        usage: Any = type("Usage", (), {"free": 1000})
        monkeypatch.setattr(part_cache.shutil, "disk_usage", lambda _: usage)
    else:
        folder.write_bytes(b"")
    cache = PartCache(synthesizer, folder=folder)
    assert cache.path is None
    assert cache.sketches("nose", [3])[3].shape == (20, 20)
    assert folder.is_file() or not list(folder.iterdir())


def test_its_shadow_is_the_models(synthesizer: Synthesizer, service: DrawingService, canvases: list[bytes]) -> None:
    projection = synthesizer.project(synthesizer.encode(service.sketch(canvases[0])[None]))
    full = PartCache(synthesizer).shadow(projection).astype(float)
    faint = 255 - FAINTNESS * (255 - full)
    assert np.abs(faint - shadows(synthesizer, projection)[0]).max() <= 3  # levels are rounded before they are added
    assert full.min() < full.max()


def test_pictures_may_be_smaller_than_the_models(synthesizer: Synthesizer) -> None:
    full = PartCache(synthesizer).sketches("remainder", [3])[3].astype(float)
    cache = PartCache(synthesizer)
    cache.sides = cache.sides | {"remainder": 32}
    small = cache.sketches("remainder", [3])[3]
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
