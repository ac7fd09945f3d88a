"""Person masks of the bundled portraits, and of pictures without a person."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from portraits import FRONTAL, portrait

from sketchprep.core import weights
from sketchprep.sketching.person_mask import PersonSegmenter

pytestmark = pytest.mark.integration  # the model comes in a wheel of 36 MB


@pytest.fixture(scope="module")
def segmenter() -> PersonSegmenter:
    return PersonSegmenter(weights.path("mediapipe-person"))


def test_portraits_are_people_before_a_background(segmenter: PersonSegmenter) -> None:
    for path in [p for p in map(portrait, FRONTAL) if p.exists()][:4]:
        photo = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        mask = segmenter.mask(photo)
        assert mask.shape == photo.shape[:2]
        height, width = mask.shape
        assert mask[height // 3 : height // 2, 2 * width // 5 : 3 * width // 5].mean() > 240  # the face
        assert mask[: height // 20, : width // 20].mean() < 30  # a corner of the background
        assert ((mask > 20) & (mask < 235)).mean() < 0.12


def test_a_picture_without_a_person_is_empty(segmenter: PersonSegmenter) -> None:
    empty = segmenter.mask(np.full((90, 200, 3), 180, np.uint8))
    assert empty.shape == (90, 200)
    assert empty.max() < 128
