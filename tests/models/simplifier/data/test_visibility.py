"""What a rough picture does not show is told from what it shows."""

from __future__ import annotations

import numpy as np
import pytest

from sketchprep.models.simplifier.data.visibility import hidden


def page(*rows: int) -> np.ndarray:
    picture = np.full((80, 100), 255, np.uint8)
    for row in rows:
        picture[row : row + 2, 10:90] = 0
    return picture


def test_a_line_on_blank_paper_is_hidden_and_one_that_is_drawn_is_not():
    rough, clean = page(20), page(20, 50)
    mask = hidden(rough, clean)
    assert mask[45:57, 20:80].all()
    assert not mask[:35].any()
    assert not mask[70:].any()
    assert not hidden(clean, clean).any()


@pytest.mark.parametrize("tone", [0, 128, 240])
def test_a_line_inside_solid_tone_is_hidden(tone: int):
    rough = np.full((80, 100), tone, np.uint8)
    assert hidden(rough, page(40))[40:42, 20:80].all()


def test_a_faint_line_is_seen():
    rough = np.full((80, 100), 250, np.uint8)
    rough[40:43] = 215
    assert not hidden(rough, page(40)).any()


def test_a_line_two_pixels_off_is_seen():
    assert not hidden(page(42), page(40)).any()


def test_nothing_wanted_hides_nothing():
    assert not hidden(page(20), page()).any()
