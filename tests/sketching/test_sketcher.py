"""Sketcher: one way from photo to sketch for builds, commands and face models."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

import sketchprep
from sketchprep.errors import SampleError, UserError
from sketchprep.io import images
from sketchprep.ops.resize import resize
from sketchprep.sketching import stages
from sketchprep.sketching.recipe import Stage, load
from sketchprep.sketching.sketcher import RECIPE, Sketcher, face_recipe, face_sketcher

CANNY = {"name": "plain", "sources": ["folder"], "size": 128, "stages": {"canny": {}}, "sketch": "canny"}


@pytest.fixture(scope="module")
def photos(frontal) -> list[np.ndarray]:
    return [resize(images.decode(path.read_bytes()), (256, 256)) for path in frontal[:2]]


def test_stages_run_in_order_over_a_batch_and_are_timed_by_name(photos: list[np.ndarray]) -> None:
    recipe = load({**CANNY, "stages": {"canny": {"input": "photocopy"}, "photocopy": {}, "lines": {}}})
    timed: list[str] = []

    @contextmanager
    def timer(name: str):
        timed.append(name)
        yield

    given = [{"photo": photo} for photo in photos]
    drawn = Sketcher(recipe).run(given, [None, None], timer=timer)
    assert timed == ["photocopy", "canny"]  # `lines` is not needed
    assert [set(result) for result in drawn] == [{"photo", "photocopy", "canny"}] * 2
    assert [set(picture) for picture in given] == [{"photo"}] * 2
    for photo, result in zip(photos, drawn, strict=True):
        copy = sketchprep.sketch(photo, "photocopy")
        assert np.array_equal(result["photocopy"], copy)
        assert np.array_equal(result["canny"], sketchprep.sketch(copy, "canny"))


def test_a_graph_may_read_what_was_drawn_before(photos: list[np.ndarray]) -> None:
    sketcher = Sketcher(CANNY, graph={"canny": Stage(op="canny", input="photocopy")})
    (drawn,) = sketcher.run([{"photocopy": sketchprep.sketch(photos[0], "photocopy")}], [None])
    assert set(drawn) == {"photocopy", "canny"}


def test_networks_are_loaded_once(photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    real, loaded = stages.load_network, []
    monkeypatch.setattr(stages, "load_network", lambda op, *a, **k: loaded.append(op) or real(op, *a, **k))
    sketcher = Sketcher({**CANNY, "stages": {"canny": {"input": "hed"}, "hed": {}}}, device="cpu")
    assert loaded == []
    sketcher.load()
    for photo in photos:
        sketcher.run([{"photo": photo}], [None])
    assert loaded == ["hed"]


def test_a_stage_that_needs_landmarks_says_so(photos: list[np.ndarray]) -> None:
    recipe = load({**CANNY, "stages": {"canny": {}, "jawline": {"input": "canny"}}, "sketch": "jawline"})
    with pytest.raises(SampleError, match="jawline needs one"):
        Sketcher(recipe).run([{"photo": photos[0]}], [None])
    five = np.array([(80.0, 110), (170, 110), (125, 150), (90, 190), (160, 190)])
    with pytest.raises(SampleError, match="jawline needs all landmarks"):
        face_sketcher(recipe).sketch_face(photos[0], five, 64)


def test_a_face_is_aligned_and_shrunk(photos: list[np.ndarray]) -> None:
    sketcher = face_sketcher(CANNY)
    points = sketcher.landmarks(photos[0])
    assert points is not None
    sketch, matrix = sketcher.sketch_face(photos[0], points, 64)
    assert sketch.shape == (64, 64)
    assert (sketch < 128).any()
    assert matrix.shape == (2, 3)
    assert sketcher.landmarks(np.full((128, 128, 3), 255, np.uint8)) is None


def test_cleaning_keeps_size_and_ink(photos: list[np.ndarray]) -> None:
    page = np.full((96, 80), 255, np.uint8)
    page[20:76, 38:42] = 60
    cleaned = Sketcher(CANNY, device="cpu").clean_drawing(page)
    assert cleaned.shape == page.shape
    assert cleaned.dtype == np.uint8
    assert (cleaned[30:66, 34:46] < 128).any()


def test_only_recipes_with_faces_in_the_frame_draw_photos() -> None:
    pairs = {"name": "ready", "sources": ["pairs"]}
    with pytest.raises(UserError, match=r"take celebamask-hq"):
        face_sketcher(pairs)
    with pytest.raises(UserError, match=r"align.template=ffhq"):
        face_sketcher({**CANNY, "align": {"template": "none"}})
    assert face_recipe({}).name == face_recipe({"recipe": pairs}).name == load(RECIPE).name
    assert face_recipe({"recipe": {"name": "of a later version", "new": 1}}).name == RECIPE
    assert face_recipe({"recipe": CANNY}).name == "plain"


def test_align_takes_a_picture_in_any_form(photos: list[np.ndarray], frontal) -> None:
    expected = sketchprep.align(photos[0], size=64)
    assert np.array_equal(sketchprep.align(photos[0] / 255, size=64).image, expected.image)
    assert sketchprep.align(frontal[0], size=64).image.shape == (64, 64, 3)
    with pytest.raises(UserError, match="photo: a picture has the shape"):
        sketchprep.align(np.zeros((4, 4, 4), np.uint8))
