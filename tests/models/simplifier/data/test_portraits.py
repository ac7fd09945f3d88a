"""Held-out and training files never meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from sketchprep.core.resources import resource
from sketchprep.models.simplifier.data import portraits


@pytest.mark.parametrize(
    ("name", "held_out"),
    [("female-00", True), ("female-05.jpg", True), ("male-10.png", True), ("male-11", False), ("self", False),
     ("00015", True), ("shot2-07", False)],
)  # fmt: skip
def test_the_last_number_decides(name: str, held_out: bool):
    assert portraits.is_held_out(name) is held_out


def test_the_two_sides_are_disjoint_and_complete():
    names = [path.stem for path in resource("data/portraits").glob("*.jpg")]
    out, kept = portraits.choose(names, held_out=True), portraits.choose(names, held_out=False)
    assert not set(out) & set(kept)
    assert sorted(out + kept) == sorted(names)
    assert out
    assert len(kept) > 2 * len(out)


def test_line_art_is_split_by_rank():
    art = {side: {path.name for path in portraits.open_art(held_out=side)} for side in (True, False)}
    everything = sorted(path.name for path in resource("data/line-art").glob("*.svg"))
    assert not art[True] & art[False]
    assert art[True] | art[False] == set(everything)
    assert everything[0] in art[True]
    assert everything[5] in art[True]
    assert everything[1] in art[False]


def test_the_line_art_is_small_and_says_its_licence():
    folder = Path(resource("data/line-art"))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 1_000_000
    assert "CC0" in (folder / "LICENSE").read_text()
