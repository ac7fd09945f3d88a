"""Morphs, mixtures and walks: their ends are what was given, and parts stay in their places."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.drawing.bank import ComponentBank
from sketchprep.models.deepfacedrawing.drawing.edit_files import gif
from sketchprep.models.deepfacedrawing.drawing.editing import copy_paste, interpolate, morph
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer
from sketchprep.ops.face_parts import windows


def differing(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first.astype(int) != second


def test_a_morph_goes_from_one_drawing_to_the_other(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    found = morph(synthesizer, sketches[0], sketches[1], frames=11, wb=0.5, k=5)
    ends = synthesizer.synthesize(sketches[:2], wb=0.5, k=5)
    for at, end in ((0, 0), (-1, 1)):
        assert np.abs(found.faces[at].astype(int) - ends.faces[end]).max() <= 2
        assert np.abs(found.sketches[at].astype(int) - synthesizer.redraw(ends.blended)[end]).max() <= 2
    whole = np.abs(found.sketches[0].astype(float) - found.sketches[-1]).mean()
    steps = np.abs(np.diff(found.sketches.astype(float), axis=0)).mean(axis=(1, 2))
    assert whole > 0.5
    assert steps.max() < 0.4 * whole  # no jump


def test_a_part_is_copied_and_nothing_else(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    base, other = sketches[:2]
    plain, _ = copy_paste(synthesizer, base, {"mouth": base}, wb=0)
    drawn = synthesizer.redraw(synthesizer.synthesize(base[None], wb=0).blended)[0]
    assert np.abs(plain.astype(int) - drawn).max() <= 1
    mixed, face = copy_paste(synthesizer, base, {"mouth": other}, wb=0)
    assert face.shape == (64, 64, 3)
    changed = np.abs(mixed.astype(int) - plain) > 1
    mouth = windows(64)["mouth"]
    assert changed[mouth.slices].any()
    changed[mouth.slices] = False
    assert not changed.any()
    # All five parts of another drawing are that drawing.
    everything, _ = copy_paste(synthesizer, base, dict.fromkeys(windows(64), other), wb=0)
    assert (
        np.abs(everything.astype(int) - synthesizer.redraw(synthesizer.synthesize(other[None], wb=0).blended)[0]).max()
        <= 1
    )


def test_an_unknown_part_is_refused(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    with pytest.raises(UserError, match="part 'ear' is unknown; use left_eye"):
        copy_paste(synthesizer, sketches[0], {"ear": sketches[1]})


def test_a_walk_begins_and_ends_at_faces_of_the_bank(synthesizer: Synthesizer) -> None:
    assert isinstance(synthesizer.bank, ComponentBank)
    found = interpolate(synthesizer, "face-3", "face-20", frames=5)
    ends = synthesizer.faces(synthesizer.bank.codes[[3, 20]])
    assert np.abs(found.faces[[0, -1]].astype(int) - ends).max() <= 2
    assert found.distance is not None
    assert found.distance.shape == (5,)
    assert (found.distance > 0).all()  # the ends are not their own neighbours


def test_walks_without_a_bank_or_to_strangers_are_refused(synthesizer: Synthesizer) -> None:
    with pytest.raises(UserError, match=r"no face 'face-99'; it has for instance face-9"):
        interpolate(synthesizer, "face-1", "face-99")
    with pytest.raises(UserError, match="faces of the bank"):
        interpolate(Synthesizer(synthesizer.model), "face-1", "face-2")


@pytest.mark.parametrize("frames", [1, 0, -4, 100_000])
def test_a_wrong_number_of_frames_is_refused(synthesizer: Synthesizer, sketches: np.ndarray, frames: int) -> None:
    with pytest.raises(UserError, match=f"frames={frames}: must be from 2"):
        morph(synthesizer, sketches[0], sketches[1], frames=frames)


def test_a_gif_goes_there_and_back() -> None:
    pictures = [np.full((16, 16, 3), level, np.uint8) for level in (0, 60, 120, 180, 240)]
    with Image.open(io.BytesIO(gif(pictures))) as animation:
        levels = []
        for number in range(animation.n_frames):
            animation.seek(number)
            levels.append(round(float(np.asarray(animation.convert("RGB")).mean()) / 60))
        assert animation.info["loop"] == 0
    assert levels == [0, 1, 2, 3, 4, 3, 2, 1]
