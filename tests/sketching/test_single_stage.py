"""One op on one picture, by name, as a library user calls it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sketchprep
from sketchprep.errors import UserError
from sketchprep.io import images
from sketchprep.ops.resize import resize
from sketchprep.sketching import stages
from sketchprep.sketching.single_stage import sketch_files


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


def test_any_form_of_a_picture_gives_the_same_sketch(photo: np.ndarray, frontal) -> None:
    import torch
    from PIL import Image

    expected = sketchprep.sketch(photo, "canny")
    tensor = torch.from_numpy(photo).permute(2, 0, 1)
    for form in (photo / 255, Image.fromarray(photo), tensor, tensor / 255):
        assert np.array_equal(sketchprep.sketch(form, "canny"), expected)
    whole = images.decode(frontal[0].read_bytes())
    assert np.array_equal(sketchprep.sketch(frontal[0], "canny"), sketchprep.sketch(whole, "canny"))


def test_batches_come_back_as_they_went_in(photo: np.ndarray) -> None:
    expected = [sketchprep.sketch(picture, "canny") for picture in (photo, photo[:, ::-1])]
    for batch in ([photo, photo[:, ::-1]], np.stack([photo, photo[:, ::-1]])):
        drawn = sketchprep.sketch(batch, "canny")
        assert type(drawn) is type(batch)
        assert np.array_equal(np.stack(drawn), np.stack(expected))
    different = sketchprep.sketch([photo, photo[:90, :80]], "canny")
    assert [sketch.shape for sketch in different] == [(152, 200), (90, 80)]


def test_wrong_pictures_are_sentences(photo: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"image: floating point pictures go from 0 .* to 1"):
        sketchprep.sketch(photo.astype(np.float32), "canny")
    with pytest.raises(UserError, match=r"images\[1\]: .*int64"):
        sketchprep.sketch([photo, photo.astype(np.int64)], "canny")
    with pytest.raises(UserError, match=r"clean: image must be a grey"):
        sketchprep.sketch(photo, "clean")
    with pytest.raises(UserError, match=r"landmarks: 1 for 2 pictures"):
        sketchprep.sketch([photo, photo], "tidy", landmarks=[None])


@pytest.mark.parametrize("stage", ["clean", "tidy", "complete", "jawline"])
def test_a_stage_that_takes_a_sketch_is_given_the_recipes(stage: str, frontal, tmp_path: Path) -> None:
    overrides = ["stages.drawn={op: clean, input: photocopy}"]  # instead of a network
    assert sketch_files(frontal[:1], stage, tmp_path, overrides=overrides) == []
    (drawn,) = tmp_path.iterdir()
    assert images.decode_gray(drawn.read_bytes()).min() < 128


def test_a_photo_without_a_face_is_a_row_for_a_stage_that_needs_one(tmp_path: Path) -> None:
    grey = tmp_path / "grey.png"
    grey.write_bytes(images.encode_png(np.full((200, 200, 3), 128, np.uint8)))
    overrides = ["stages.drawn={op: clean, input: photocopy}"]
    (failure,) = sketch_files([grey], "jawline", tmp_path / "out", overrides=overrides)
    assert failure.kind == "no-face"


def test_a_parameter_out_of_range_is_a_sentence_before_any_photo_is_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"stages.canny.low: must be at least 0, not -3"):
        sketch_files([tmp_path / "missing.jpg"], "canny", tmp_path, overrides=["stages.canny.low=-3"])
    with pytest.raises(UserError, match=r"canny.low: must be at least 0, not -3"):
        sketchprep.sketch(tmp_path / "missing.jpg", "canny", low=-3)
