"""Ready-made photo/sketch pairs."""

import hashlib
import pickle

import cv2
import numpy as np
import pytest
from papers import ALPHA, PAPERS, agreement
from portraits import PORTRAITS
from traced_strokes import sketches

from sketchprep.datasets.sources import open_source
from sketchprep.datasets.sources.describe import describe
from sketchprep.errors import SampleError, UserError


def png(picture):
    stored = picture[..., ::-1] if picture.ndim == 3 else picture
    return cv2.imencode(".png", stored)[1].tobytes()


def photo(width=40, height=40):
    """A red picture with a blue top-left quarter."""
    picture = np.full((height, width, 3), (200, 30, 20), np.uint8)
    picture[: height // 2, : width // 2] = (10, 20, 220)
    return picture


def sketch(width=40, height=40):
    """White paper with ink in its top-left quarter."""
    picture = np.full((height, width), 255, np.uint8)
    picture[: height // 2, : width // 2] = 0
    return picture


@pytest.mark.parametrize(
    ("photos", "sketches"), [("photos", "sketches"), ("photo", "sketch"), ("A", "B"), ("trainA", "trainB")]
)
@pytest.mark.parametrize("top", ["", "FS2K/"])
def test_common_folder_names_are_found(plant, photos, sketches, top):
    root = plant({f"{top}{photos}/a.png": png(photo()), f"{top}{sketches}/a.png": png(sketch())})
    (sample,) = open_source("pairs", root).samples()
    assert (sample.id, sample.path, sample.sketch_path) == (
        "a.png",
        f"{top}{photos}/a.png",
        f"{top}{sketches}/a.png",
    )


def test_pairs_match_by_path_without_the_extension(plant):
    files = {"photos/x/a.b.jpg": 1, "photos/y/a.b.jpg": 2, "sketches/x/a.b.png": 3, "sketches/y/a.b.png": 4}
    samples = open_source("pairs", plant(files)).samples()
    assert [(sample.id, sample.sketch_path) for sample in samples] == [
        ("x/a.b.jpg", "sketches/x/a.b.png"),
        ("y/a.b.jpg", "sketches/y/a.b.png"),
    ]


def test_halves_without_their_partner_are_rejected_rows(plant):
    files = {"A/1.jpg": 1, "A/2.jpg": 2, "A/2.png": 2, "B/2.png": 3, "B/3.png": 4}
    source = open_source("pairs", plant(files))
    assert [sample.path for sample in source.samples()] == ["A/2.jpg"]
    rows = [(failure.id, failure.kind, failure.rejected) for failure in source.refused()]
    assert rows == [("A/1.jpg", "no-sketch", True), ("A/2.png", "ambiguous", True), ("B/3.png", "no-photo", True)]


def test_named_folders_and_their_mistakes(plant):
    root = plant({"deep/in/1.jpg": 1, "out/1.jpg": 2})
    assert len(open_source("pairs", root, photos="deep/in", sketches="out/").samples()) == 1
    with pytest.raises(UserError, match=r"found: deep, out.*side-by-side"):
        open_source("pairs", root)
    with pytest.raises(UserError, match="option sketches of source pairs: there is no folder 'nope'"):
        open_source("pairs", root, photos="out", sketches="nope")
    with pytest.raises(UserError, match="or neither"):
        open_source("pairs", root, photos="out")
    with pytest.raises(UserError, match="'stacked' is neither"):
        open_source("pairs", root, layout="stacked")
    with pytest.raises(UserError, match="'top' is neither"):
        open_source("pairs", root, layout="side-by-side", photo="top")
    with pytest.raises(UserError, match="leave the options"):
        open_source("pairs", root, layout="side-by-side", photos="out", sketches="out")


def test_both_pictures_are_opened_and_both_are_in_the_digest(plant):
    root = plant({"photos/a.png": png(photo()), "sketches/a.png": png(sketch())})
    source = open_source("pairs", root)
    (sample,) = source.samples()
    digest, picture = source.load(sample)
    assert (picture.photo == photo()).all()
    assert (picture.sketch == sketch()).all()
    assert digest == source.digest(sample)
    (root / "sketches/a.png").write_bytes(png(255 - sketch()))
    assert source.digest(sample) != digest
    (root / "sketches/a.png").write_bytes(png(sketch()))
    (root / "photos/a.png").write_bytes(png(255 - photo()))
    assert source.digest(sample) != digest


@pytest.mark.parametrize("size", [(20, 20), (80, 80), (161, 160)])
def test_a_sketch_of_another_size_is_brought_to_the_photos(plant, size):
    source = open_source("pairs", plant({"A/a.png": png(photo()), "B/a.png": png(sketch(*size))}))
    picture = source.load(source.samples()[0])[1]
    assert picture.sketch.shape == (40, 40)
    difference = abs(picture.sketch.astype(int) - sketch())
    assert difference[:18, :18].max() == difference[22:, 22:].max() == 0
    assert difference.mean() < 4


def test_a_sketch_of_another_shape_fails_with_both_sizes(plant):
    source = open_source("pairs", plant({"A/a.png": png(photo(40, 40)), "B/a.png": png(sketch(41, 40))}))
    with pytest.raises(SampleError, match="the sketch is 41×40 and the photo 40×40") as caught:
        source.load(source.samples()[0])
    assert caught.value.kind == "size-mismatch"


@pytest.mark.parametrize("side", ["left", "right"])
def test_side_by_side_is_cut_in_the_middle(plant, side):
    grey = np.repeat(sketch()[..., None], 3, 2)
    both = np.hstack([photo(), grey] if side == "left" else [grey, photo()])
    root = plant({"x/a.png": png(both)})
    source = open_source("pairs", root, layout="side-by-side", photo=side)
    (sample,) = source.samples()
    assert sample.id == sample.path == sample.sketch_path == "x/a.png"
    digest, picture = source.load(sample)
    assert (picture.photo == photo()).all()
    assert (picture.sketch == sketch()).all()
    assert picture.encoded is None
    assert digest == source.digest(sample) == hashlib.sha256((root / "x/a.png").read_bytes()).hexdigest()


def test_an_odd_width_cannot_be_two_pictures(plant):
    source = open_source("pairs", plant({"a.png": png(photo(41, 40))}), layout="side-by-side")
    with pytest.raises(SampleError, match="41 px wide"):
        source.load(source.samples()[0])


def test_a_broken_sketch_fails_the_pair(plant):
    source = open_source("pairs", plant({"A/a.png": png(photo()), "B/a.png": b""}))
    with pytest.raises(SampleError) as caught:
        source.load(source.samples()[0])
    assert caught.value.kind == "empty"


def test_zip_equals_folder_and_pickling_keeps_the_options(plant, zipped):
    root = plant({"in/b/a.png": png(photo()), "in/a/a.png": png(sketch())})
    options = {"photos": "in/b", "sketches": "in/a"}
    folder, archive = open_source("pairs", root, **options), open_source("pairs", zipped(root), **options)
    assert folder.samples() == archive.samples() == pickle.loads(pickle.dumps(archive)).samples()
    sample = folder.samples()[0]
    assert folder.digest(sample) == pickle.loads(pickle.dumps(archive)).load(sample)[0]


def test_description_says_how_pairs_were_found(plant):
    description = describe(open_source("pairs", plant({"A/1.jpg": 1, "B/1.png": 1, "B/2.png": 1})))
    assert description["layout"] == "photos in A, sketches in B"
    assert description["pairs"] == description["photos"] == 1
    assert description["refused"] == {"no-photo": 1}


@pytest.mark.parametrize(
    ("train", "test", "first"),
    [
        (("trainA", "trainB"), ("testA", "testB"), ""),
        (("train_A", "train_B"), ("test_A", "test_B"), ""),
        (("x/trainA", "x/trainB"), ("x/testA", "x/testB"), ""),
        (("train/photos", "train/sketches"), ("test/photos", "test/sketches"), ""),
        (("A/train", "B/train"), ("A/test", "B/test"), "train/"),
    ],
)
def test_folders_of_the_corpus_own_splits_are_all_read(plant, train, test, first):
    files = {f"{folder}/{n}.png": n for folder in train for n in (1, 2)} | {f"{folder}/1.png": 3 for folder in test}
    samples = open_source("pairs", plant(files)).samples()
    assert [s.split for s in samples if s.path.startswith(train[0])] == ["train", "train"]
    assert [s.id for s in samples if s.path.startswith(train[0])] == [f"{first}1.png", f"{first}2.png"]
    (one,) = [s for s in samples if s.path.startswith(test[0])]
    assert (one.split, one.sketch_path) == ("test", f"{test[1]}/1.png")
    assert len({sample.id for sample in samples}) == 3


def test_side_by_side_pictures_keep_the_splits_of_their_folders(plant):
    both = {f"{split}/{n}.png": n for split in ("train", "val", "test") for n in range(2)}
    samples = open_source("pairs", plant(both), layout="side-by-side").samples()
    assert all(sample.split == sample.id.partition("/")[0] for sample in samples)
    alone = open_source("pairs", plant({"test/1.png": 1, "b.png": 2}, "alone"), layout="side-by-side")
    assert {sample.split for sample in alone.samples()} == {None}


def test_folders_beside_the_pairs_are_named(plant):
    source = open_source("pairs", plant({"A/1.png": 1, "B/1.png": 1, "B2/1.png": 1}))
    assert source.left_out().reasons["folder beside the pairs"].names == ["B2"]


def drawn(number):
    """A bundled portrait with a bundled drawing: RGB (320, 320, 3) and grey (320, 320)."""
    photo = cv2.imread(str(sorted(PORTRAITS.glob("*.jpg"))[number]), cv2.IMREAD_COLOR_RGB)
    return (cv2.resize(picture, (320, 320), interpolation=cv2.INTER_AREA) for picture in (photo, page(number)))


def page(number):
    return cv2.imread(str(sketches()[number]), cv2.IMREAD_GRAYSCALE)


@pytest.mark.parametrize("paper", ["negative", "white chalk on kraft", "blackboard", "scan edges", "red on green"])
def test_sketches_on_any_paper_become_black_on_white_in_place(plant, paper):
    face, ink = drawn(0)
    picture = PAPERS[paper](ink, np.random.default_rng(0))
    source = open_source("pairs", plant({"photos/a.png": png(face), "sketches/a.png": png(picture)}))
    pair = source.load(source.samples()[0])[1]
    assert agreement(pair.sketch, ink) > 0.95
    assert len(pair.notes) == 1


@pytest.mark.parametrize("ink", ALPHA)
def test_ink_on_a_transparent_page_is_seen(plant, ink):
    face, line = drawn(1)
    data = cv2.imencode(".png", cv2.cvtColor(ALPHA[ink](line, np.random.default_rng(0)), cv2.COLOR_RGBA2BGRA))[1]
    source = open_source("pairs", plant({"photos/a.png": png(face), "sketches/a.png": data.tobytes()}))
    assert agreement(source.load(source.samples()[0])[1].sketch, line) > 0.9


def test_a_sketch_without_ink_is_a_row(plant):
    face, _ = drawn(0)
    for empty in (np.full((320, 320), 255, np.uint8), np.full((320, 320), 90, np.uint8)):
        source = open_source("pairs", plant({"photos/a.png": png(face), "sketches/a.png": png(empty)}))
        with pytest.raises(SampleError, match="no ink") as caught:
            source.load(source.samples()[0])
        assert caught.value.kind == "blank"


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_halves_are_told_apart_wherever_the_drawing_is(plant, side, grey):
    face, ink = drawn(2)
    if grey:
        face = np.repeat(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    line = np.repeat(ink[..., None], 3, 2)
    root = plant({"train/a.png": png(np.hstack([line, face] if side == "left" else [face, line]))})
    source = open_source("pairs", root, layout="side-by-side")
    pair = source.load(source.samples()[0])[1]
    assert (pair.photo == face).all()
    assert (pair.sketch == ink).all()
    assert pair.notes == (("photo found in the right half",) if side == "left" else ())
    wrong = open_source("pairs", root, layout="side-by-side", photo=side)
    with pytest.raises(SampleError, match=f"the {side} half is the drawing"):
        wrong.load(wrong.samples()[0])


def test_halves_that_are_alike_are_asked_about(plant):
    face, _ = drawn(0)
    source = open_source("pairs", plant({"a.png": png(np.hstack([face, face]))}), layout="side-by-side")
    with pytest.raises(SampleError, match="option photo: left or right") as caught:
        source.load(source.samples()[0])
    assert caught.value.kind == "ambiguous"


def test_folders_the_other_way_round_are_swapped_and_named_ones_refused(plant):
    face, ink = drawn(0)
    root = plant({"train_A/a.png": png(ink), "train_B/a.png": png(face)})
    guessed = open_source("pairs", root)
    pair = guessed.load(guessed.samples()[0])[1]
    assert (pair.photo == face).all()
    assert (pair.sketch == ink).all()
    assert "photo and drawing swapped" in pair.notes
    named = open_source("pairs", root, photos="train_A", sketches="train_B")
    with pytest.raises(SampleError, match="swap the two options"):
        named.load(named.samples()[0])


def test_names_match_in_nfc_and_without_case_where_that_is_unambiguous(plant):
    composed, parted = "Ren\u00e9", "Rene\u0301"
    files = {"A/Anna.JPG": 1, "B/anna.png": 1, f"A/{parted}.jpg": 2, f"B/{composed}.png": 2}
    files |= {
        "A/x.jpg": 3,
        "A/X.jpg": 4,
        "B/x.png": 3,
        "A/y.jpg": 5,
        "A/Y.png": 6,
        "B/\u1ef3.png": 5,
        "B/z.png": 7,
        "B/Z.png": 8,
    }
    source = open_source("pairs", plant(files))
    found = {sample.id: sample.sketch_path for sample in source.samples()}
    assert found == {"Anna.JPG": "B/anna.png", f"{parted}.jpg": f"B/{composed}.png", "x.jpg": "B/x.png"}
    unmatched = {failure.id for failure in source.refused()}
    assert unmatched == {"A/X.jpg", "A/y.jpg", "A/Y.png", "B/\u1ef3.png", "B/z.png", "B/Z.png"}
