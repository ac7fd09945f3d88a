"""Plots show curves, intervals and levels where they are."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sketchprep.errors import UserError
from sketchprep.io.plots import BOTTOM, HEIGHT, LEGEND, WIDTH, Line, Panel, draw, require
from sketchprep.io.plots import TOP as TOP_MARGIN

FLAT = Line(np.array([0.0, 5, 10]), np.full(3, 2.0), np.zeros(3), np.full(3, 3.0))
TOP = Line(FLAT.x, np.full(3, 4.0), np.full(3, 4.0), np.full(3, 4.0))


def test_the_figure_shows_curves_where_they_are() -> None:
    scale = (0.0, 4.0)
    first = Panel("one", "px", {"a": FLAT, "b": TOP}, 1.0, "level", span=scale)
    picture = draw([[first, Panel("other", "px", {"a": FLAT}, span=scale)]], shared=True).astype(int)
    assert picture.shape == (LEGEND + HEIGHT, 2 * WIDTH, 3)
    assert len(np.unique(picture[:LEGEND].reshape(-1, 3), axis=0)) > 2  # the names of both
    zero, unit = LEGEND + HEIGHT - BOTTOM, (HEIGHT - TOP_MARGIN - BOTTOM) / 4
    for panel in (0, WIDTH):
        column = picture[: zero - 2, panel + 150]
        blue = np.flatnonzero(column[:, 2] - column[:, 0] > 100)
        assert blue.tolist() == pytest.approx([zero - 2 * unit] * len(blue), abs=1.1)
        assert len(blue) in (1, 2)
        tinted = np.flatnonzero(column[:, 2] - column[:, 0] > 8)
        assert tinted.min() == pytest.approx(zero - 3 * unit, abs=2)
    dashed = picture[round(zero - unit) - 1 : round(zero - unit) + 2, 62:400].max(axis=2).min(axis=0)
    assert (dashed < 100).mean() == pytest.approx(0.5, abs=0.1)


def test_the_panels_of_a_row_share_their_scale() -> None:
    both = Panel("one", "px", {"a": FLAT, "b": TOP})
    picture = draw([[both, Panel("other", "px", {"a": FLAT})]], shared=True).astype(int)
    rows = [int((picture[60:240, x + 150, 2] - picture[60:240, x + 150, 0]).argmax()) for x in (0, WIDTH)]
    assert rows[0] == rows[1]


def test_what_is_not_finite_is_left_out_and_short_rows_are_filled_with_white() -> None:
    holes = Line(FLAT.x, np.array([2.0, np.nan, 2.0]), np.array([1.0, np.nan, 1.0]), np.array([3.0, np.nan, 3.0]))
    picture = draw([[Panel("one", "px", {"a": holes})]], columns=2)
    assert picture.shape == (HEIGHT, 2 * WIDTH, 3)
    assert (picture[:, :WIDTH] < 128).any()
    assert (picture[:, WIDTH + 20 :] == 255).all()


def test_without_matplotlib_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"plots need matplotlib; install it with pip install 'sketchprep\[train\]'"):
        require()
