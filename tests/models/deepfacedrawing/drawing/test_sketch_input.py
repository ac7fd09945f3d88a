"""Pictures on their way to the frame: paper, ink, place; photos; what cannot be used."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_faces import draw

from sketchprep.errors import SampleError, UserError
from sketchprep.io import images
from sketchprep.models.deepfacedrawing.drawing.ink_placement import BOTTOMS, TOPS
from sketchprep.models.deepfacedrawing.drawing.sketch_input import SketchReader, parse_align
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer
from sketchprep.ops.ink import INK, broaden, ink_box
from sketchprep.ops.resize import resize
from sketchprep.ops.warp import transform_points
from sketchprep.sketching.picture_kind import picture_kind
from sketchprep.sketching.sketcher import face_sketcher

POINTS = np.array([(193, 247), (319, 247), (256, 325), (226, 378), (286, 378)], float)


@pytest.fixture(scope="module")
def page() -> np.ndarray:
    return draw(7, 512)[1]


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Of the ink of both, how much lies within a pixel of the other's."""
    a, b = first < 160, second < 160
    near = [cv2.dilate(m.view(np.uint8), np.ones((3, 3), np.uint8)) > 0 for m in (a, b)]
    return min((a & near[1]).sum() / max(a.sum(), 1), (b & near[0]).sum() / max(b.sum(), 1))


def test_paper_polarity_and_colour_make_no_difference(page: np.ndarray) -> None:
    expected = resize(page, (128, 128))
    light = np.linspace(0.5, 1, 512)
    red = np.where(page[..., None] < 128, np.array([200, 40, 30], np.uint8), np.uint8(255))
    pencil = (190 - (255 - page) * 0.3).astype(np.uint8)
    pages = {
        "plain": page,
        "chalk": 255 - page,
        "pencil": pencil,
        "shade": (pencil * light).astype(np.uint8),
        "red": red,
    }
    for name, image in pages.items():
        found = SketchReader(128).read(image)
        assert found.kind == "sketch", name
        assert overlap(found.sketch, expected) > 0.9, name
        assert found.sketch.min() < 60, name


def test_a_sheet_is_cut_from_the_desk_it_lies_on(page: np.ndarray) -> None:
    desk = np.empty((640, 900, 3), np.uint8)
    desk[:] = (92, 62, 40)
    desk[60:572, 300:812] = np.clip(page, 20, 235)[..., None]
    found = SketchReader(128).read(desk)
    assert "cut out of its surroundings" in found.notes[0]
    assert overlap(found.sketch, resize(page, (128, 128))) > 0.9
    corner = transform_points(found.matrix, np.array([300.0 + 256, 60.0 + 256]))
    assert np.abs(corner - 63.5).max() < 1.5


def test_a_sketch_in_the_frame_is_only_shrunk(page: np.ndarray) -> None:
    assert np.array_equal(SketchReader(512).read(page).sketch, page)
    assert np.array_equal(SketchReader(256).read(page).sketch, resize(page, (256, 256)))


def test_fine_lines_on_a_large_page_stay_black() -> None:
    large = np.full((2600, 2600), 255, np.uint8)
    cv2.circle(large, (1300, 1300), 900, 0, 3, cv2.LINE_AA)
    shrunk = resize(large, (128, 128))
    found = SketchReader(128).read(large).sketch
    assert np.percentile(shrunk[shrunk < 255], 5) > 150
    assert np.percentile(found[found < 255], 20) < 100
    radius = np.hypot(*(np.argwhere(found < 128) - 63.5).T)
    assert abs(np.median(radius) - 900 * 128 / 2600) < 0.6


def test_lines_get_as_broad_as_asked_and_no_broader() -> None:
    page = np.full((200, 200), 255, np.uint8)
    page[100, 20:180] = 0
    assert 5 <= (broaden(page, 6)[:, 100] < INK).sum() <= 7
    page[95:107, 20:180] = 0
    assert broaden(page, 6) is page


@pytest.mark.parametrize("shape", [(300, 700), (900, 350)])
def test_paper_is_added_to_make_a_page_square(page: np.ndarray, shape: tuple[int, int]) -> None:
    height, width = shape
    small = resize(page, (300, 300))
    sheet = np.full(shape, 255, np.uint8)
    top, left = (height - 300) // 2, (width - 300) // 2
    sheet[top : top + 300, left : left + 300] = small
    found = SketchReader(256).read(sheet)
    scale = 256 / max(shape)
    x0, _, x1, _ = ink_box(found.sketch)
    assert abs((x0 + x1) / 2 - 128) < 3
    assert abs((x1 - x0) - 300 * scale * (ink_box(page)[2] - ink_box(page)[0]) / 512) < 4
    corner = transform_points(found.matrix, np.array([left + 150.0, top + 150.0]))
    assert np.abs(corner - 127.5).max() < 1


def test_grain_and_grey_of_the_paper_become_white(page: np.ndarray) -> None:
    grain = np.random.default_rng(1).normal(234, 3, page.shape)
    paper = np.clip(np.minimum(page, grain), 0, 255).astype(np.uint8)
    found = SketchReader(128).read(paper).sketch
    assert (found == 255).mean() > 0.6
    assert overlap(found, resize(page, (128, 128))) > 0.9


def test_cleaning_leaves_lines_and_takes_specks_away() -> None:
    rough = np.full((512, 512), 255, np.uint8)
    cv2.ellipse(rough, (256, 270), (150, 190), 0, 0, 360, 90, 4, cv2.LINE_AA)
    rng = np.random.default_rng(2)
    for x, y in rng.integers(190, 320, (25, 2)):
        rough[y : y + 3, x : x + 3] = 60
    plain, cleaned = (SketchReader(256, clean=clean).read(rough).sketch for clean in (False, True))
    inside = (slice(95, 160), slice(95, 160))
    assert (plain[inside] < 128).sum() >= 20
    assert (cleaned[inside] < 200).sum() < 5
    angles = np.arctan2(*(np.argwhere(cleaned < 128) - (135, 128)).T)
    assert len(np.unique((angles * 8 / np.pi).round())) >= 16  # the outline is there all around


def test_the_bank_tells_that_a_neck_is_drawn(synthesizer: Synthesizer) -> None:
    """The ink's box alone would take the end of the neck for the chin."""
    for number in (101, 102, 103):
        face = draw(number, 512)[1]
        for x in (200, 312):
            cv2.line(face, (x, int(ink_box(face)[3]) - 20), (x, 509), 0, 6)
        sheet = np.full((700, 900), 255, np.uint8)
        sheet[150:406, 400:656] = resize(face, (256, 256))
        off = {}
        for name, words in {"by the bank": {"synthesizer": synthesizer}, "by its box": {}}.items():
            matrix = SketchReader(synthesizer.size, align="ink", kind="sketch", **words).read(sheet).matrix
            eyes = np.array([[400 + x / 2, 150 + 247 / 2, 1] for x in (193, 319)]) @ matrix.T * 512 / synthesizer.size
            off[name] = float(np.abs(eyes - [[193, 247], [319, 247]]).max())
        assert off["by the bank"] < 16
        assert off["by its box"] > 30


def test_align_ink_moves_a_small_drawing_to_where_a_head_is(page: np.ndarray) -> None:
    sheet = np.full((900, 640), 255, np.uint8)
    sheet[500:800, 300:600] = resize(page, (300, 300))
    x0, y0, x1, y1 = ink_box(SketchReader(256, align="ink").read(sheet).sketch)
    middle, top, chin = 128, TOPS[0] / 2, BOTTOMS[0] / 2
    assert abs((x0 + x1) / 2 - middle) < 3
    assert (abs(y0 - top), abs(y1 - chin)) < (4, 4)


def test_five_points_bring_eyes_and_mouth_to_their_places(page: np.ndarray) -> None:
    matrix = cv2.getRotationMatrix2D((256, 256), 20, 0.6)
    turned = cv2.warpAffine(page, matrix, (512, 512), borderValue=255)
    points = transform_points(matrix, POINTS)
    found = SketchReader(256, align=points).read(turned)
    placed = transform_points(found.matrix, points)
    eyes = placed[:2]
    assert abs(eyes[0, 1] - eyes[1, 1]) < 0.5
    assert abs(eyes[1, 0] - eyes[0, 0] - 64) < 1.5
    level = SketchReader(256, align=POINTS).read(page).sketch
    assert overlap(found.sketch, level) > 0.85


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (np.full((300, 300), 255, np.uint8), "blank"), (np.zeros((300, 300), np.uint8), "blank"),
        (np.full((64, 64, 3), 128, np.uint8), "blank"), (np.full((20, 400), 255, np.uint8), "too-small"),
    ],
)  # fmt: skip
def test_pages_without_a_drawing_are_refused(image: np.ndarray, kind: str) -> None:
    with pytest.raises(SampleError) as error:
        SketchReader(128).read(image)
    assert error.value.kind == kind


def test_points_outside_the_picture_are_refused(page: np.ndarray) -> None:
    with pytest.raises(SampleError, match="do not lie in the picture of 512×512"):
        SketchReader(128, align=POINTS + 300).read(page)


def test_align_is_read_as_it_is_written() -> None:
    assert parse_align(None) is None
    assert parse_align("ink") == "ink"
    text = ",".join(f"{v:g}" for v in POINTS.ravel())
    assert np.array_equal(parse_align(text), POINTS)
    assert np.array_equal(parse_align(text.replace(",", " ")), POINTS)
    for wrong in ("inc", "1,2,3", text + ",1", "1,2,3,4,x,6,7,8,9,10", text.replace("193", "nan")):
        with pytest.raises(UserError, match=r"^align='"):
            parse_align(wrong)
    swapped = ",".join(f"{v:g}" for v in POINTS[[1, 0, 2, 3, 4]].ravel())
    with pytest.raises(UserError, match="no upright face"):
        parse_align(swapped)


def test_unknown_words_are_refused() -> None:
    with pytest.raises(UserError, match="input='painting'"):
        SketchReader(128, kind="painting")
    with pytest.raises(UserError, match="align='middle'"):
        SketchReader(128, align="middle")
    with pytest.raises(UserError, match="recipe='nothing'"):
        face_sketcher("nothing")
    with pytest.raises(UserError, match=r"align\.template=ffhq"):
        face_sketcher("apdrawing-pretrain")


def test_a_photo_is_sketched_in_the_frame(frontal: list[Path]) -> None:
    photo = images.decode(frontal[0].read_bytes())
    assert picture_kind(photo) == "photo"
    reader = SketchReader(256)
    found = reader.read(photo)
    assert found.kind == "photo"
    assert (found.sketch > 230).mean() > 0.5
    points = reader.sketcher.landmarks(photo)
    assert points is not None
    placed = transform_points(found.matrix, points)
    eyes = [placed[36:42].mean(axis=0), placed[42:48].mean(axis=0)]
    assert abs(eyes[1][0] - eyes[0][0] - 64) < 4
    for x, y in eyes:  # there is an eye where the landmarks are
        assert (found.sketch[int(y) - 8 : int(y) + 8, int(x) - 14 : int(x) + 14] < 128).mean() > 0.05
    forced = SketchReader(256, kind="sketch").read(photo)
    assert forced.kind == "sketch"


def test_pictures_in_any_form_are_read_alike(page: np.ndarray) -> None:
    reader = SketchReader(128, kind="sketch")
    expected = reader.read(page).sketch
    assert np.array_equal(reader.read(page / 255).sketch, expected)
    with pytest.raises(UserError, match="picture: floating point pictures go from 0"):
        reader.read(page.astype(np.float32))


def test_a_photo_without_a_face_is_said_so() -> None:
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.integers(0, 255, (300, 300, 3), dtype=np.uint8), (0, 0), 6)
    scene = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)
    for kind in ("photo", "auto"):
        with pytest.raises(SampleError, match=r"no face was found in the photo.*--input sketch") as error:
            SketchReader(128, kind=kind).read(scene)
        assert error.value.kind == "no-face"
    assert SketchReader(128, kind="sketch").read(scene).kind == "sketch"


def test_a_shaded_drawing_without_a_face_is_drawn_with_a_note() -> None:
    page = np.full((300, 300), 255, np.uint8)
    page[80:220, 60:240] = cv2.resize(np.linspace(80, 200, 180).astype(np.uint8)[None], (180, 140))
    page[::12, 60:240] = 40
    found = SketchReader(128).read(page)
    assert found.kind == "sketch"
    assert "no face was found" in found.notes[0]


@pytest.mark.parametrize(
    ("turns", "words"),
    [(1, "lies with its top to the left"), (2, "is upside down"), (3, "lies with its top to the right")],
)
def test_a_photo_that_is_turned_is_asked_back(frontal: list[Path], turns: int, words: str) -> None:
    photo = reduced(frontal[0])
    with pytest.raises(SampleError, match=f"the photo {words}; turn it upright"):
        SketchReader(128).read(np.ascontiguousarray(np.rot90(photo, turns)))


def test_of_several_faces_none_is_chosen_in_silence(frontal: list[Path]) -> None:
    both = np.hstack([reduced(path) for path in frontal[:2]])
    with pytest.raises(
        SampleError, match=r"2 faces were found, about \d+,\d+, \d+,\d+ px; cut one out, or name its points"
    ) as e:
        SketchReader(128).read(both)
    assert e.value.kind == "several-faces"


def test_a_dark_photo_and_a_wide_one_are_photos_too(frontal: list[Path]) -> None:
    photo = reduced(frontal[0])
    assert SketchReader(128).read((photo * 0.08).astype(np.uint8)).kind == "photo"
    wide = cv2.resize(cv2.GaussianBlur(photo, (0, 0), 30), (4500, 1000))
    with pytest.raises(SampleError, match="no face was found in the photo"):
        SketchReader(128).read(wide)


def reduced(path: Path) -> np.ndarray:
    return cv2.resize(images.decode(path.read_bytes()), (512, 512), interpolation=cv2.INTER_AREA)
