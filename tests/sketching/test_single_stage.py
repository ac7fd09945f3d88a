"""One op on one picture, by name, as a library user calls it."""

from __future__ import annotations

import numpy as np
import pytest

import sketchprep
from sketchprep.errors import UserError
from sketchprep.io import images
from sketchprep.ops.resize import resize
from sketchprep.sketching import stages


@pytest.fixture(scope="module")
def photo(frontal) -> np.ndarray:
    return resize(images.decode(frontal[0].read_bytes()), (200, 152))


@pytest.mark.parametrize("op", ["canny", "photocopy", "lines", "two_tone", "clean", "hed"])
def test_every_op_by_name_keeps_the_size_and_draws_black_on_white(op: str, photo: np.ndarray) -> None:
    grey = sketchprep.sketch(photo, "photocopy") if op == "clean" else photo
    result = sketchprep.sketch(grey, op)
    assert result.shape == (152, 200)
    assert result.dtype == np.uint8
    assert result.mean() > 100
    assert result.min() < 128


def test_parameters_reach_the_op(photo: np.ndarray) -> None:
    few = sketchprep.sketch(photo, "canny", low=200, high=400)
    many = sketchprep.sketch(photo, "canny", low=20, high=60)
    assert (few == 0).sum() < (many == 0).sum() / 2


def test_mistakes_are_sentences(photo: np.ndarray) -> None:
    with pytest.raises(UserError, match="did you mean 'canny'"):
        sketchprep.sketch(photo, "cany")
    with pytest.raises(UserError, match="unknown key 'lo'"):
        sketchprep.sketch(photo, "canny", lo=3)
    with pytest.raises(UserError, match="needs landmarks"):
        sketchprep.sketch(photo, "jawline")


def test_every_op_says_what_it_takes() -> None:
    for name in stages.OPS:
        assert stages.function(name).__doc__
