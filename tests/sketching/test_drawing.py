"""The intake of drawings: any paper, polarity and surroundings, and what it says of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from papers import ALPHA, PAPERS, agreement, on_sheet
from PIL import Image
from traced_strokes import sketches

from sketchprep.errors import SampleError
from sketchprep.io import images
from sketchprep.sketching.drawing import has_ink, normalize_drawing, require_ink

SAID = {
    "negative": "light ink",
    "white chalk on grey": "light ink",
    "white chalk on kraft": "light ink",
    "blackboard": "light ink",
    "uneven blackboard": "light ink",
    "framed blackboard": "surroundings",
    "scan edges": "surroundings",
    "screenshot": "surroundings",
    "red on green": "by its colour",
    "green on red": "by its colour",
    "yellow on white": "by its colour",
}


def page(number: int = 0) -> np.ndarray:
    return images.decode_gray(sketches()[number].read_bytes())


@pytest.mark.parametrize("name", [name for name in PAPERS if name != "desk"])
def test_every_paper_becomes_white_with_all_of_its_ink(name: str) -> None:
    for number in range(2):
        picture = PAPERS[name](page(number), np.random.default_rng(number))
        drawing = normalize_drawing(picture)
        assert agreement(drawing.page, page(number)) > 0.97
        assert np.percentile(drawing.page, 60) > 235
        assert SAID.get(name, "") in " ".join(drawing.notes)
        assert bool(drawing.notes) == (name in SAID)


def test_a_black_drawing_on_white_stays_as_it_is_to_the_byte() -> None:
    for path in sketches():
        drawing = normalize_drawing(images.decode_drawing(path.read_bytes()))
        assert np.array_equal(drawing.page, images.decode_gray(path.read_bytes()))
        assert (drawing.notes, drawing.box) == ((), (0, 0, 512, 512))


@pytest.mark.parametrize("desk", [(92, 62, 40), (20, 20, 22), (150, 40, 40), (70, 110, 80)])
def test_what_lies_around_the_sheet_is_white(desk: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(3)
    photo, moved = on_sheet(page(1), rng, desk, turn=5.0)
    drawing = normalize_drawing(photo)
    assert agreement(drawing.page, moved) > 0.97
    left, top, right, bottom = drawing.box
    assert 400 < right - left < 460
    assert 400 < bottom - top < 460


def test_black_clothes_down_to_the_edge_are_no_desk() -> None:
    bust = page(0).copy()
    cv2.ellipse(bust, (256, 560), (300, 150), 0, 0, 360, 0, -1)
    drawing = normalize_drawing(bust)
    assert np.array_equal(drawing.page, bust)
    assert drawing.notes == ()


COLOURED = ("yellow", "red")
FORMS = [(name, form) for name in ALPHA for form in ("RGBA", "LA", "P", "16 bits")]


@pytest.mark.parametrize(("name", "form"), [pair for pair in FORMS if not (pair[0] in COLOURED and pair[1] == "LA")])
def test_ink_on_a_transparent_page_is_seen(name: str, form: str, tmp_path: object) -> None:
    picture = ALPHA[name](page(2), np.random.default_rng(0))
    data = encode(picture, form)
    drawing = normalize_drawing(images.decode_drawing(data))
    assert agreement(drawing.page, page(2)) > 0.93
    assert not drawing.blank


def encode(picture: np.ndarray, form: str) -> bytes:
    if form == "16 bits":
        return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA).astype(np.uint16) * 257)[1].tobytes()
    import io

    image = Image.fromarray(picture)
    if form == "LA":
        image = image.convert("LA")
    if form == "P":
        image = image.quantize(64)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("level", [0, 90, 150, 255])
@pytest.mark.parametrize("grain", [0, 4])
def test_an_empty_page_has_no_ink(level: int, grain: float) -> None:
    rng = np.random.default_rng(level)
    empty = np.clip(rng.normal(level, grain, (300, 400, 3)), 0, 255).astype(np.uint8)
    assert normalize_drawing(empty).blank
    with pytest.raises(SampleError, match="no ink") as error:
        require_ink(normalize_drawing(empty))
    assert error.value.kind == "blank"


def test_a_single_small_stroke_is_ink_and_dust_is_not() -> None:
    sheet = np.full((600, 600), 255, np.uint8)
    sheet[::97, ::89] = 0
    assert not has_ink(sheet)
    cv2.line(sheet, (300, 300), (330, 310), 0, 2)
    assert has_ink(sheet)


def intake_of_a_random_drawing(seed: int) -> tuple[float, str]:
    """A random paper, size, strength of ink, noise and compression; how well its ink is found."""
    rng = np.random.default_rng(seed)
    side = int(rng.integers(200, 420))
    shape = (side, int(side * rng.uniform(0.75, 1.3)))
    drawn = cv2.resize(page(int(rng.integers(8))), shape[::-1], interpolation=cv2.INTER_AREA)
    drawn = np.where(drawn < 128, np.uint8(0), np.uint8(255))
    kind = str(rng.choice([*PAPERS, *(f"alpha {name}" for name in ALPHA)]))
    if kind == "desk":
        desk = tuple(int(v) for v in rng.integers(10, 120, 3))
        picture, drawn = on_sheet(drawn, rng, desk, turn=rng.uniform(-8, 8), paper=int(rng.integers(200, 250)))
    else:
        picture = ALPHA[kind[6:]](drawn, rng) if kind.startswith("alpha") else PAPERS[kind](drawn, rng)
    if picture.shape[2:] != (4,):
        picture = np.clip(picture + rng.normal(0, rng.uniform(0, 5), picture.shape), 0, 255).astype(np.uint8)
    ending = ".jpg" if picture.shape[2:] != (4,) and rng.random() < 0.5 else ".png"
    order = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[
        picture.ndim if picture.ndim == 2 else picture.shape[2]
    ]
    stored = picture if order is None else cv2.cvtColor(picture, order)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))] if ending == ".jpg" else []
    data = cv2.imencode(ending, stored, quality)[1].tobytes()
    result = normalize_drawing(images.decode_drawing(data))
    assert result.page.shape == drawn.shape
    assert not result.blank, (seed, kind)
    return agreement(result.page, drawn), kind


@pytest.mark.parametrize("first", range(0, 120, 30))
def test_random_drawings_are_found(first: int) -> None:
    for seed in range(first, first + 30):
        score, kind = intake_of_a_random_drawing(seed)
        assert score > 0.9, (seed, kind)


@pytest.mark.slow
def test_two_thousand_random_drawings_are_found() -> None:
    for seed in range(1000, 3000):
        score, kind = intake_of_a_random_drawing(seed)
        assert score > 0.85, (seed, kind)


def test_any_array_of_bytes_gives_a_page_or_is_blank() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        shape = tuple(int(n) for n in rng.integers(1, 80, 2)) + ((3,) if seed % 2 else ())
        picture = rng.integers(0, 256, shape, dtype=np.uint8) // np.uint8(rng.integers(1, 9))
        drawing = normalize_drawing(picture)
        assert drawing.page.shape == shape[:2]
        assert drawing.page.dtype == np.uint8
