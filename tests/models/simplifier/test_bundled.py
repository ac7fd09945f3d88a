"""The network that travels with the package, on drawings it was never trained on."""

from __future__ import annotations

import cv2
import numpy as np

import sketchprep
from sketchprep.evaluation.line_metrics import agreement
from sketchprep.models.simplifier.data import held_out


def test_rough_drawings_come_out_closer_to_the_clean_ones() -> None:
    before, after = [], []
    for example in held_out.drawings(12):
        otsu = cv2.threshold(example.rough, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]
        ours = sketchprep.sketch(example.rough, "simplify")
        clean = example.clean < 128
        before.append(agreement(otsu < 128, clean).f)
        after.append(agreement(ours < 128, clean).f)
    assert np.mean(after) > np.mean(before)


def test_an_empty_page_stays_empty() -> None:
    assert sketchprep.sketch(np.full((64, 80), 255, np.uint8), "simplify").min() > 200
