"""The check of a drawing's place: silent for drawings in the frame, one sentence for others."""

from __future__ import annotations

import cv2
import numpy as np

from sketchprep.draw import Artist
from sketchprep.framecheck import ink_fault
from sketchprep.synthesize import check


def moved(sketch: np.ndarray, x: int, y: int, scale: float = 1.0) -> np.ndarray:
    matrix = np.array([[scale, 0, x + 32 * (1 - scale)], [0, scale, y + 32 * (1 - scale)]], float)
    return cv2.warpAffine(sketch, matrix, (64, 64), flags=cv2.INTER_AREA, borderValue=255)


def said(artist: Artist, sketch: np.ndarray) -> str | None:
    return check(artist, artist.draw(sketch[None]), 0)


def test_drawings_in_the_frame_pass(artist: Artist, sketches: np.ndarray) -> None:
    assert [said(artist, sketch) for sketch in sketches] == [None] * 4


def test_small_and_shifted_drawings_are_told_what_to_do(artist: Artist, sketches: np.ndarray) -> None:
    for other in (moved(sketches[0], 0, 0, 0.4), moved(sketches[0], 18, 0), moved(sketches[0], 0, -22)):
        sentence = said(artist, other)
        assert sentence is not None
        assert sentence.startswith("may not sit in the frame")
        assert "--align" in sentence
        assert "\n" not in sentence


def test_the_distance_tells_where_the_ink_does_not(artist: Artist, sketches: np.ndarray) -> None:
    upside_down = sketches[0][::-1].copy()
    assert ink_fault(upside_down) is None
    sentence = said(artist, upside_down)
    assert sentence is not None
    assert "times as far from the bank" in sentence


def test_unfinished_drawings_are_no_fault(sketches: np.ndarray) -> None:
    upper = sketches[0].copy()
    upper[36:] = 255
    assert ink_fault(upper) is None


def test_a_speck_is_hardly_any_ink() -> None:
    page = np.full((64, 64), 255, np.uint8)
    page[30:32, 30:32] = 0
    assert ink_fault(page) == "there is hardly any ink on it"
