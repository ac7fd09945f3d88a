"""Drawings beside the frame: advice while one draws, and the button that moves them."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
from drawn_faces import draw

from sketchprep.errors import SampleError
from sketchprep.io import images
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer
from sketchprep.ops.face_parts import PARTS
from sketchprep.ops.ink import ink_box
from sketchprep.serve.drawing import DrawingService
from sketchprep.serve.placement import beside, in_place


def shrunk(page: np.ndarray, scale: float, left: float, top: float) -> np.ndarray:
    matrix = np.array([[scale, 0, left], [0, scale, top]], np.float64)
    return cv2.warpAffine(page, matrix, (512, 512), flags=cv2.INTER_AREA, borderValue=255)


def advice(service: DrawingService, page: np.ndarray) -> str:
    return service.analyse(images.encode_png(page), wb=[0.3] * 5, shadow=False).advice


def test_a_small_drawing_is_told_and_one_that_fills_the_page_is_not(service: DrawingService) -> None:
    page = draw(101, 512)[1]
    assert advice(service, page) == ""
    assert "fills only" in advice(service, shrunk(page, 0.4, 30, 30))
    assert "too far right" in advice(service, shrunk(page, 1, 120, 0))
    assert advice(service, np.full((512, 512), 255, np.uint8)) == ""
    assert "--align" not in advice(service, shrunk(page, 0.4, 30, 30))  # the page has a button for it


def test_half_a_drawing_in_its_place_is_left_alone(synthesizer: Synthesizer, service: DrawingService) -> None:
    page = np.full((512, 512), 255, np.uint8)
    for middle in (193, 319):
        cv2.ellipse(page, (middle, 247), (30, 14), 0, 0, 360, 0, 3, cv2.LINE_AA)
    sketch = service.sketch(images.encode_png(page))
    codes, projection, _ = synthesizer.project_sketches(sketch[None])
    near, far = copy.copy(synthesizer), copy.copy(synthesizer)
    near.__dict__["reference_distances"] = {part: [1e8, 1e9] for part in PARTS}
    far.__dict__["reference_distances"] = {part: [1e-9, 1e-8] for part in PARTS}
    assert beside(near, sketch, codes, projection) == ""
    assert "fills only" in beside(far, sketch, codes, projection)


@pytest.mark.parametrize(("scale", "left", "top"), [(0.4, 20, 30), (0.5, 250, 240), (0.8, 100, 0)])
def test_it_is_moved_to_where_it_was(synthesizer: Synthesizer, scale: float, left: float, top: float) -> None:
    page = draw(102, 512)[1]
    moved = in_place(synthesizer, shrunk(page, scale, left, top))
    assert moved.shape == page.shape
    box, first = np.array(ink_box(moved)), np.array(ink_box(page))
    assert abs((box[0] + box[2]) / 2 - 256) < 8
    assert np.abs(box - first).max() < 60
    assert (box[3] - box[1]) / (box[2] - box[0]) == pytest.approx(
        (first[3] - first[1]) / (first[2] - first[0]), rel=0.1
    )


def test_lines_do_not_grow_with_the_drawing(synthesizer: Synthesizer) -> None:
    page = np.full((512, 512), 255, np.uint8)
    cv2.ellipse(page, (100, 100), (50, 70), 0, 0, 360, 0, 3, cv2.LINE_AA)
    moved = in_place(synthesizer, page)
    row = (255 - moved[256].astype(float)) / 255
    assert 4 <= row.sum() <= 9  # two lines of two to four pixels; three times as broad before


def test_without_a_bank_its_ink_goes_where_heads_are(synthesizer: Synthesizer) -> None:
    page = shrunk(draw(102, 512)[1], 0.4, 20, 30)
    _, top, _, bottom = ink_box(in_place(Synthesizer(synthesizer.model), page))
    assert top == pytest.approx(20, abs=6)
    assert bottom == pytest.approx(474, abs=6)


def test_an_empty_page_is_not_moved(service: DrawingService) -> None:
    with pytest.raises(SampleError, match="nothing"):
        service.place(images.encode_png(np.full((512, 512), 255, np.uint8)))
