"""Any paper and any ink become black on white."""

import cv2
import numpy as np
import pytest

from sketchprep.core.resources import resource
from sketchprep.ops.paper import polarity, to_black_on_white


def drawing(height: int = 400, width: int = 520, seed: int = 0) -> np.ndarray:
    """Wandering black strokes on white."""
    rng = np.random.default_rng(seed)
    page = np.full((height, width), 255, np.uint8)
    for _ in range(max(3, height * width // 8000)):
        points = np.cumsum(rng.normal(0, 12, (30, 2)), 0) + rng.uniform(0, (width, height))
        cv2.polylines(page, [points.astype(np.int32)], False, 0, 2, cv2.LINE_AA)
    return page


def assert_black_on_white(result: np.ndarray, original: np.ndarray, *, ink: int = 110) -> None:
    assert result.shape == original.shape
    assert result.dtype == np.uint8
    assert np.percentile(result[original == 255], 5) > 225
    assert np.percentile(result[original == 0], 95) < ink


PAGE = drawing()
LIGHT = np.linspace(0.4, 0.95, PAGE.shape[1])
GRAIN = np.random.default_rng(1).normal(0, 5, PAGE.shape)
PAPERS = {
    "white": PAGE,
    "negative": 255 - PAGE,
    "grey card": 60 + PAGE * 0.45,
    "dark card, black ink": 20 + PAGE * 0.3,
    "blackboard": 40 + (255 - PAGE) * 0.6,
    "uneven light": PAGE * LIGHT,
    "uneven blackboard": (50 + (255 - PAGE) * 0.7) * LIGHT,
    "grainy": np.clip(PAGE * 0.7 + 10 + GRAIN, 0, 255),
}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_paper_becomes_white_and_every_ink_black(paper: str) -> None:
    image = PAPERS[paper].astype(np.uint8)
    # In the dim corner of the blackboard chalk stands out less than anywhere else.
    assert_black_on_white(to_black_on_white(image), PAGE, ink=190 if paper == "uneven blackboard" else 110)
    dark = paper in ("negative", "blackboard", "uneven blackboard")
    assert polarity(image) == ("light-on-dark" if dark else "dark-on-light")


def test_black_on_white_is_left_alone() -> None:
    before = PAGE.copy()
    result = to_black_on_white(PAGE)
    np.testing.assert_array_equal(result, before)
    result[:] = 0
    np.testing.assert_array_equal(PAGE, before)


@pytest.mark.parametrize("shape", [(64, 64), (100, 700), (1500, 2200)])
@pytest.mark.parametrize("invert", [False, True])
def test_other_sizes(shape: tuple[int, int], invert: bool) -> None:
    page = drawing(*shape)
    assert_black_on_white(to_black_on_white(255 - page if invert else page), page)


@pytest.mark.parametrize("level", [0, 5, 90, 128, 255])
def test_a_page_of_one_tone_has_no_ink(level: int) -> None:
    page = np.full((70, 90), level, np.uint8)
    assert polarity(page) == "blank"
    assert (to_black_on_white(page) == 255).all()


def test_a_noisy_black_page_stays_blank() -> None:
    page = np.clip(np.random.default_rng(0).normal(6, 3, (200, 200)), 0, 255).astype(np.uint8)
    assert (to_black_on_white(page) == 255).all()


def test_faint_pencil_is_not_taken_for_blank_paper() -> None:
    faint = np.where(PAGE < 128, 232, 248).astype(np.uint8)
    result = to_black_on_white(faint)
    assert result[PAGE == 0].mean() < result[PAGE == 255].mean() - 10


def test_a_large_black_area_is_ink() -> None:
    page = PAGE.copy()
    cv2.circle(page, (260, 200), 110, 0, -1)
    for image in (page, 255 - page, (page * 0.6).astype(np.uint8)):
        result = to_black_on_white(image)
        assert result[200, 200:320].max() < 60
        assert np.percentile(result[page == 255], 5) > 225


@pytest.mark.parametrize("paper", [0.9, 0.75, 0.6])
def test_wide_shading_on_evenly_lit_toned_paper_stays(paper: float) -> None:
    page = PAGE.astype(np.float32)
    shaded = page.copy()
    cv2.ellipse(shaded, (260, 150), (150, 100), 0, 0, 360, 70, -1)
    cv2.ellipse(shaded, (260, 290), (100, 70), 0, 0, 360, 190, -1)
    result = to_black_on_white((np.minimum(page, shaded) * paper).astype(np.uint8))
    assert np.median(result[120:180, 200:320]) < 90
    assert 170 < np.median(result[270:310, 220:300]) < 215
    assert np.percentile(result[:, :80][PAGE[:, :80] == 255], 5) > 240


def test_colour_paper_is_reduced_to_grey() -> None:
    kraft = (np.stack([180 * (PAGE / 255), 140 * (PAGE / 255), 90 * (PAGE / 255)], 2) + 20).astype(np.uint8)
    assert_black_on_white(to_black_on_white(kraft), PAGE)


def test_a_photo_keeps_its_polarity_and_detail() -> None:
    for file in sorted(resource("data/portraits").glob("*.jpg"))[:4]:
        photo = cv2.resize(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), (256, 256), interpolation=cv2.INTER_AREA)
        result = to_black_on_white(photo)
        assert result.std() > 10
        assert np.corrcoef(result.ravel(), photo.ravel())[0, 1] > 0.3


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_wrong_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="image must be"):
        to_black_on_white(image)
