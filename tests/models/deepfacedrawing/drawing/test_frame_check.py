"""The check of a drawing's place: silent for drawings in the frame, one sentence for others."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from sketchprep.models.deepfacedrawing.drawing.bank import make_bank
from sketchprep.models.deepfacedrawing.drawing.frame_check import (
    ink_fault,
    outlier_parts,
    reconstruction_stats,
    residuals,
)
from sketchprep.models.deepfacedrawing.drawing.manifold import project
from sketchprep.models.deepfacedrawing.drawing.synthesize_files import check
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer
from sketchprep.ops.face_parts import windows


def moved(sketch: np.ndarray, x: int, y: int, scale: float = 1.0) -> np.ndarray:
    matrix = np.array([[scale, 0, x + 32 * (1 - scale)], [0, scale, y + 32 * (1 - scale)]], float)
    return cv2.warpAffine(sketch, matrix, (64, 64), flags=cv2.INTER_AREA, borderValue=255)


def said(synthesizer: Synthesizer, sketch: np.ndarray) -> str | None:
    return check(synthesizer, synthesizer.synthesize(sketch[None]), 0)


def test_drawings_in_the_frame_pass(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    assert [said(synthesizer, sketch) for sketch in sketches] == [None] * 4


def test_small_and_shifted_drawings_are_told_what_to_do(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    for other in (moved(sketches[0], 0, 0, 0.4), moved(sketches[0], 18, 0), moved(sketches[0], 0, -22)):
        sentence = said(synthesizer, other)
        assert sentence is not None
        assert sentence.startswith("may not sit in the frame")
        assert "--align" in sentence
        assert "\n" not in sentence


def test_the_distance_tells_where_the_ink_does_not(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    upside_down = sketches[0][::-1].copy()
    assert ink_fault(upside_down) is None
    sentence = said(synthesizer, upside_down)
    assert sentence is not None
    assert "times as far from the bank" in sentence


@pytest.mark.parametrize("rows", [slice(32, None), slice(42, None), slice(0, 26)])
def test_the_ink_of_half_a_drawing_is_no_fault(sketches: np.ndarray, rows: slice) -> None:
    for sketch in sketches:
        part = sketch.copy()
        part[rows] = 255
        fault = ink_fault(part)
        assert fault is None or "fills only" in fault


def test_parts_still_to_be_drawn_are_no_fault(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    for sketch in sketches:
        part = sketch.copy()
        for name in ("mouth", "nose"):
            part[windows(64)[name].slices] = 255
        part[: windows(64)["nose"].slices[0].stop] = sketch[: windows(64)["nose"].slices[0].stop]
        assert said(synthesizer, part) is None


def some_bank(scale: float = 1.0, rows: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes (N, 5, 32) on a curved surface of three dimensions, and others on it."""
    seed = torch.Generator().manual_seed(0)
    place, mix = torch.randn(rows + 60, 5, 3, generator=seed), torch.randn(5, 3, 32, generator=seed)
    codes = scale * (torch.sin(torch.einsum("npd,pdl->npl", place, mix)) + 3)
    return codes[:rows].contiguous(), codes[rows:].contiguous()


@pytest.mark.parametrize(("k", "rows"), [(1, 400), (10, 400), (500, 60)])  # more neighbours than faces, too
def test_what_is_strange_depends_on_the_bank_and_not_on_the_scale_of_its_codes(k: int, rows: int) -> None:
    drawn = np.zeros(5, bool)
    for scale in (1e-4, 1.0, 1e4):
        faces, others = some_bank(scale, rows)
        bank = make_bank(faces, [str(i) for i in range(len(faces))], "0" * 64)
        usual = reconstruction_stats(bank, k)
        assert usual is not None
        assert reconstruction_stats(bank, k) is usual
        found = residuals(others, project(bank, others, k), usual)
        assert np.median(found, axis=0) == pytest.approx(np.ones(5), abs=0.5)
        assert sum(bool(outlier_parts(one, usual, drawn)) for one in found) <= 2
        off = others.roll(1, dims=2)
        found = residuals(off, project(bank, off, k), usual)
        assert sum(bool(outlier_parts(one, usual, drawn)) for one in found) >= (50 if k < 500 else 0)


def test_a_face_of_the_bank_does_not_count_as_its_own_neighbour() -> None:
    faces, _ = some_bank()
    twice = make_bank(torch.cat([faces, faces[:9]]), [str(i) for i in range(409)], "0" * 64)
    usual = reconstruction_stats(twice, 1)
    assert usual is not None
    assert usual.shares.min() > 0.05


def test_a_split_has_its_own_measure_and_a_tiny_bank_none() -> None:
    faces, _ = some_bank()
    male = np.where(np.arange(400) < 30, 1, -1).astype(np.int8)
    few = np.where(np.arange(400) < 7, 1, -1).astype(np.int8)
    bank = make_bank(faces, [str(i) for i in range(400)], "0" * 64, {"Male": male, "Few": few})
    whole, split = reconstruction_stats(bank, 5), reconstruction_stats(bank.split("Male"), 5)
    assert whole is not None
    assert split is not None
    assert (split.shares > whole.shares).all()  # fewer faces explain less
    assert reconstruction_stats(bank.split("Few"), 5) is None
    assert outlier_parts(np.full(5, 9.0), None, np.zeros(5, bool)) == {}


def test_parts_that_are_not_drawn_do_not_count(synthesizer: Synthesizer) -> None:
    assert synthesizer.bank is not None
    usual = reconstruction_stats(replace(synthesizer.bank), 10)
    assert usual is not None
    found = np.array([99.0, 1, 1, 99, 999])
    assert set(outlier_parts(found, usual, np.zeros(5, bool))) == {"left_eye", "right_eye", "nose", "mouth"}
    assert outlier_parts(found, usual, np.array([True, False, False, True, False])) == {}
    assert outlier_parts(found, usual, np.array([False, True, True, True, False])) == {}, "of one part nothing is said"


def test_a_speck_is_hardly_any_ink() -> None:
    page = np.full((64, 64), 255, np.uint8)
    page[30:32, 30:32] = 0
    assert ink_fault(page) == "there is hardly any ink on it"
