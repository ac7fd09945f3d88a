"""Plots show curves, intervals and levels where they are."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sketchprep.errors import UserError
from sketchprep.io.plots import HEIGHT, LEGEND, WIDTH, Line, Panel, draw, require

FLAT = Line(np.array([0.0, 5, 10]), np.full(3, 2.0), np.zeros(3), np.full(3, 3.0))
TOP = Line(FLAT.x, np.full(3, 4.0), np.full(3, 4.0), np.full(3, 4.0))


def test_the_figure_shows_curves_where_they_are() -> None:
    first = Panel("one", "px", {"a": FLAT, "b": TOP}, 1.0, "level")
    picture = draw([[first, Panel("other", "px", {"a": FLAT})]], shared=True).astype(int)
    assert picture.shape == (LEGEND + HEIGHT, 2 * WIDTH, 3)
    assert len(np.unique(picture[:LEGEND].reshape(-1, 3), axis=0)) > 2  # the names of both
    column = picture[60 : LEGEND + 220, 150]
    blue, orange = column[:, 2] - column[:, 0], column[:, 0] - column[:, 2]
    two, four = 60 + int(blue.argmax()), 60 + int(orange.argmax())
    assert (blue.max(), orange.max()) > (100, 150)
    unit = (two - four) / 2
    tinted = 60 + np.flatnonzero((blue > 8) & (np.arange(60, 60 + len(column)) < two - 2))
    assert tinted.min() == pytest.approx(two - unit, abs=2)
    dashed = picture[round(two + unit) - 1 : round(two + unit) + 2, 62:400].max(axis=2).min(axis=0)
    assert (dashed < 160).mean() == pytest.approx(0.5, abs=0.1)
    # The panels of a row share their scale.
    other = picture[60 : LEGEND + 220, WIDTH + 150]
    assert 60 + int((other[:, 2] - other[:, 0]).argmax()) == two


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
