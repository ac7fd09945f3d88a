"""CelebAMask-HQ, whole, partial and damaged."""

import json
import random

import cv2
import numpy as np
import pytest
from damage import damage_bytes

from sketchprep.datasets.sources import open_source
from sketchprep.datasets.sources.describe import describe
from sketchprep.errors import SampleError, UserError
from sketchprep.ops.labels import CLASSES, label_map
from sketchprep.sketching.selection import check_annotations, check_masks

NAMES = ["Eyeglasses", "Male", "Wearing_Hat"]
ATTRIBUTES = "4\nEyeglasses Male Wearing_Hat\n0.jpg  -1 1 -1\n1.jpg  1 -1 1\n2.jpg  -1 -1 -1\n7.jpg  1 1 1\n"
POSES = "3\nYaw Pitch Raw\n0.jpg -16.76 -3.54 -0.47\n1.jpg 8.85 -16.06 -1.15\n9.jpg 0 0 0\n"
MAPPING = (
    "idx          orig_idx      orig_file\n"
    "0            119613        119614.jpg\n"
    "1            162771        162772.jpg\n"
    "12           182637        182638.jpg\n"
    "2            182638        182639.jpg\n"
)
PHOTOS = {"CelebA-HQ-img/0.jpg": 1, "CelebA-HQ-img/1.jpg": 2, "CelebA-HQ-img/2.jpg": 3, "CelebA-HQ-img/12.jpg": 4}
TEXTS = {
    "CelebAMask-HQ-attribute-anno.txt": ATTRIBUTES,
    "CelebAMask-HQ-pose-anno.txt": POSES,
    "CelebA-HQ-to-CelebA-mapping.txt": MAPPING,
    "README.txt": "hello",
}


def mask(left, right, size=64):
    picture = np.zeros((size, size), np.uint8)
    picture[:, left:right] = 255
    return cv2.imencode(".png", picture)[1].tobytes()


MASKS = {
    "CelebAMask-HQ-mask-anno/0/00001_skin.png": mask(0, 32),
    "CelebAMask-HQ-mask-anno/0/00001_eye_g.png": mask(32, 36),
    "CelebAMask-HQ-mask-anno/0/00012_hair.png": mask(10, 20),
}


def test_whole_corpus(plant):
    source = open_source("celebamask-hq", plant(PHOTOS | TEXTS | MASKS))
    samples = {sample.id: sample for sample in source.samples()}
    assert list(samples) == ["00000", "00001", "00002", "00012"]
    assert samples["00012"].path == "CelebA-HQ-img/12.jpg"
    assert {i: s.attributes for i, s in samples.items()} == {
        "00000": ("Male",),
        "00001": ("Eyeglasses", "Wearing_Hat"),
        "00002": (),
        "00012": None,
    }
    assert [s.pose for s in samples.values()] == [(-16.76, -3.54, -0.47), (8.85, -16.06, -1.15), None, None]
    assert [s.split for s in samples.values()] == ["train", "val", "test", "val"]
    assert source.frame == "ffhq"
    assert source.attribute_names() == tuple(NAMES)
    assert not source.refused()
    digest, picture = source.load(samples["00001"])
    assert picture.photo.shape == (24, 24, 3)
    assert digest == source.digest(samples["00001"])


def test_masks_are_those_that_exist(plant):
    source = open_source("celebamask-hq", plant(PHOTOS | MASKS))
    by_id = {sample.id: sample for sample in source.samples()}
    masks = source.masks(by_id["00001"])
    assert set(masks) == {"skin", "eye_g"}
    assert masks["skin"].dtype == bool
    assert masks["skin"][:, :32].all()
    assert not masks["skin"][:, 32:].any()
    assert set(source.masks(by_id["00012"])) == {"hair"}
    assert source.masks(by_id["00000"]) == {}
    assert check_masks(masks, {"eye_g": 0.05}).message.startswith("eye_g covers 6.2 % of the picture")


def test_masks_of_another_size_are_a_row(plant):
    odd = {"CelebAMask-HQ-mask-anno/0/00001_hair.png": mask(0, 10, size=32)}
    source = open_source("celebamask-hq", plant(PHOTOS | MASKS | odd))
    sample = next(sample for sample in source.samples() if sample.id == "00001")
    with pytest.raises(SampleError, match=r"mask hair has 32×32 px, not 64×64") as caught:
        source.masks(sample)
    assert caught.value.kind == "mask-size"


@pytest.mark.parametrize("first", [0, pytest.param(1000, marks=pytest.mark.slow)])
def test_odd_masks_are_a_row_or_a_label_map(plant, first):
    """Seeded masks of other modes, sizes and formats, cut and flipped: nothing but a row or a map of known classes."""
    root = plant(PHOTOS | MASKS)
    source = open_source("celebamask-hq", root)
    sample = next(sample for sample in source.samples() if sample.id == "00001")
    path, read = root / "CelebAMask-HQ-mask-anno/0/00001_skin.png", 0
    for seed in range(first, first + (200 if first == 0 else 4000)):
        rng = random.Random(seed)
        side = rng.choice([64, 64, 64, 1, 63, 512])
        shape = (side, rng.choice([side, side, 2 * side]), *rng.choice([(), (), (3,), (4,)]))
        pixels = np.random.default_rng(seed).integers(0, 65535, shape)
        extension = rng.choice([".png", ".png", ".jpg", ".bmp"])
        dtype = rng.choice([np.uint8, np.uint8, np.uint16]) if extension == ".png" else np.uint8
        path.write_bytes(cv2.imencode(extension, pixels.astype(dtype))[1].tobytes())
        if rng.random() < 0.5:
            damage_bytes(path, rng)
        try:
            found = label_map(source.masks(sample))
        except SampleError:
            continue
        read += 1
        assert found.shape == (64, 64)
        assert found.max() < len(CLASSES)
    assert read > 20


def test_masks_lie_in_folders_of_2000(plant):
    files = {"CelebA-HQ-img/29999.jpg": 1, "CelebAMask-HQ-mask-anno/14/29999_hat.png": mask(0, 1)}
    source = open_source("celebamask-hq", plant(files))
    assert set(source.masks(source.samples()[0])) == {"hat"}


def test_the_mask_folder_may_lack_its_hyphen(plant):
    masks = {path.replace("CelebAMask-HQ-mask", "CelebAMaskHQ-mask"): data for path, data in MASKS.items()}
    source = open_source("celebamask-hq", plant(PHOTOS | masks))
    assert set(source.masks(source.samples()[1])) == {"skin", "eye_g"}


def test_a_damaged_mask_names_itself(plant):
    source = open_source("celebamask-hq", plant(PHOTOS | {"CelebAMask-HQ-mask-anno/0/00001_hat.png": b""}))
    with pytest.raises(SampleError, match="mask hat") as caught:
        source.masks(source.samples()[1])
    assert caught.value.kind == "empty"


def test_photos_alone_are_enough_and_what_is_off_is_said(plant):
    source = open_source("celebamask-hq", plant(PHOTOS))
    assert len(source.samples()) == 4
    assert all(s.attributes is s.pose is s.split is None for s in source.samples())
    assert len(source.attribute_names()) == 40
    assert "Eyeglasses" in source.attribute_names()
    missing = {item["file"]: item["off"] for item in describe(source)["missing"]}
    assert len(missing) == 4
    assert "hats" in missing["CelebAMask-HQ-attribute-anno.txt"]
    assert "official split" in missing["CelebA-HQ-to-CelebA-mapping.txt"]


def test_the_sample_of_the_pose_file_is_not_taken_for_it(plant):
    files = PHOTOS | {"CelebAMask-HQ-pose-anno.sample.txt": POSES}
    assert all(s.pose is None for s in open_source("celebamask-hq", plant(files)).samples())


def test_counts_of_what_does_not_match(plant):
    description = describe(open_source("celebamask-hq", plant(PHOTOS | TEXTS | MASKS)))
    json.dumps(description)
    assert description["photos"] == 4
    assert description["annotations"] == {
        "attribute rows": 4,
        "attribute rows without a photo": 1,
        "photos without an attribute row": 1,
        "pose rows": 3,
        "pose rows without a photo": 1,
        "photos without a pose row": 2,
        "mapping rows": 4,
        "mapping rows without a photo": 0,
        "photos without a mapping row": 0,
    }
    assert description["attributes"] == {"Eyeglasses": 0.3333, "Male": 0.3333, "Wearing_Hat": 0.3333}
    assert description["splits"] == {"test": 1, "train": 1, "val": 2}
    assert description["masks"]["photos with masks"] == 2
    assert description["masks"]["by class"]["skin"] == 1
    assert "missing" not in description


@pytest.mark.parametrize("top", ["", "CelebAMask-HQ/"])
def test_zip_equals_folder_at_the_top_or_one_level_down(plant, zipped, top):
    root = plant(PHOTOS | TEXTS | MASKS)
    folder, archive = open_source("celebamask-hq", root), open_source("celebamask-hq", zipped(root, top))
    for ours, theirs in zip(folder.samples(), archive.samples(), strict=True):
        assert theirs.path == top + ours.path
        assert (theirs.id, theirs.attributes, theirs.pose, theirs.split) == (
            ours.id,
            ours.attributes,
            ours.pose,
            ours.split,
        )
        assert archive.digest(theirs) == folder.digest(ours)
        assert archive.masks(theirs).keys() == folder.masks(ours).keys()
    assert describe(archive)["masks"] == describe(folder)["masks"]


def test_the_folder_above_is_accepted(plant):
    root = plant({f"CelebAMask-HQ/{path}": data for path, data in (PHOTOS | TEXTS | MASKS).items()})
    source = open_source("celebamask-hq", root)
    assert source.samples()[1].path == "CelebAMask-HQ/CelebA-HQ-img/1.jpg"
    assert source.samples()[1].attributes == ("Eyeglasses", "Wearing_Hat")
    assert set(source.masks(source.samples()[1])) == {"skin", "eye_g"}


def test_a_folder_without_photos_says_what_was_expected(plant):
    with pytest.raises(UserError, match=r"holds no folder CelebA-HQ-img; get CelebAMask-HQ\.zip"):
        open_source("celebamask-hq", plant({"a.jpg": 1}))
    with pytest.raises(UserError, match="several corpora: give one of one, two"):
        open_source("celebamask-hq", plant({"one/CelebA-HQ-img/1.jpg": 1, "two/CelebA-HQ-img/1.jpg": 1}, "both"))


def test_a_folder_of_photos_that_is_a_link_is_followed_and_links_in_it_are_not(plant, tmp_path):
    root, other = plant({"in/x.txt": "x"}), plant(PHOTOS | {"secret.jpg": 9}, "other")
    (root / "in/CelebA-HQ-img").symlink_to(other / "CelebA-HQ-img")
    (other / "CelebA-HQ-img/77.jpg").symlink_to(other / "secret.jpg")
    source = open_source("celebamask-hq", root)
    samples = source.samples()
    assert [s.id for s in samples] == ["00000", "00001", "00002", "00012"]
    assert source.load(samples[0])[1].photo.shape == (24, 24, 3)
    assert [(f.id, f.kind) for f in source.refused()] == [("in/CelebA-HQ-img/77.jpg", "leaves-root")]


def test_tables_that_are_links_out_of_the_root_are_refused(plant, tmp_path):
    other = plant(PHOTOS | TEXTS, "other")
    name = "CelebAMask-HQ-attribute-anno.txt"
    (other / name).rename(tmp_path / name)
    (other / name).symlink_to(tmp_path / name)
    with pytest.raises(UserError, match=f"{name} in .* is a link that leaves it"):
        open_source("celebamask-hq", other).samples()


def test_odd_names_among_the_photos_are_rows(plant):
    extra = {"foo.jpg": 1, "00001.jpg": 2, "2.png": 3, "sub/5.jpg": 4, "3.JPG": 5, "1_skin.png": 6, "notes.txt": "x"}
    source = open_source("celebamask-hq", plant(PHOTOS | {f"CelebA-HQ-img/{k}": v for k, v in extra.items()}))
    assert [sample.path.removeprefix("CelebA-HQ-img/") for sample in source.samples()] == [
        "0.jpg",
        "1.jpg",
        "2.jpg",
        "3.JPG",
        "12.jpg",
    ]
    assert {failure.id.removeprefix("CelebA-HQ-img/"): failure.kind for failure in source.refused()} == {
        "foo.jpg": "bad-name",
        "1_skin.png": "bad-name",
        "sub/5.jpg": "bad-name",
        "00001.jpg": "ambiguous",
        "2.png": "ambiguous",
    }


HEAD = "2\nEyeglasses Male\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("attribute", "", "line 1: expected the number of rows, found ''"),
        ("attribute", "Eyeglasses Male\n0.jpg 1 1\n", "line 1: expected the number of rows, found 'Eyeglasses Male'"),
        ("attribute", "1\n0.jpg 1 1\n", "line 2: expected the names"),
        ("attribute", "1\nMale Male\n0.jpg 1 1\n", "line 2: expected the names"),
        ("attribute", HEAD + "0.jpg 1 1\n1.jpg 1\n", "line 4: expected 3 columns, found 2"),
        ("attribute", HEAD + "0.jpg 1 1\n1.jpg 1 1 1\n", "line 4: expected 3 columns, found 4"),
        ("attribute", HEAD + "0.jpg 1 0\n1.jpg 1 1\n", "line 3: expected 1 or -1, found '0'"),
        ("attribute", HEAD + "\n\n0.jpg 1 1\nx.jpg 1 1\n", "line 6: expected a photo such as 12.jpg, found 'x.jpg'"),
        ("attribute", HEAD + "0.jpg 1 1\n0.jpg 1 1\n", "line 4: a second row for 0.jpg"),
        ("attribute", HEAD + "0.jpg 1 1\n", "line 1: announces 2 rows, but 1 follow"),
        ("attribute", HEAD + "0.jpg 1 1\n1.jpg 1 1\n2.jpg 1 1\n", "line 1: announces 2 rows, but 3 follow"),
        ("attribute", HEAD.encode() + b"0.jpg 1 1\n\xff.jpg 1 1\n", "line 4: the text is not valid UTF-8"),
        ("pose", "1\n0.jpg 1 2 3\n", "line 2: expected the header 'Yaw Pitch Raw'"),
        ("pose", "1\nPitch Yaw Raw\n0.jpg 1 2 3\n", "line 2: expected the header 'Yaw Pitch Raw'"),
        ("pose", "1\nYaw Pitch Raw\n0.jpg 1 2\n", "line 3: expected 4 columns, found 3"),
        ("pose", "1\nYaw Pitch Raw\n0.jpg 1 x 3\n", "line 3: expected an angle in degrees, found 'x'"),
        ("pose", "1\nYaw Pitch Raw\n0.jpg 1 nan 3\n", "line 3: expected an angle between"),
        ("pose", "1\nYaw Pitch Raw\n99.jpg 1 2e9 3\n", "line 3: expected an angle between"),
        ("mapping", "0 119613 119614.jpg\n", "line 1: expected the header"),
        ("mapping", "idx orig_idx orig_file\n0 1 2.jpg\n1 -4 x.jpg\n", "line 3: expected a whole number, found '-4'"),
        ("mapping", "idx orig_idx orig_file\n0.jpg 1 2.jpg\n", "line 2: expected a whole number, found '0.jpg'"),
    ],
)
def test_malformed_lines_name_file_and_line(plant, name, text, message):
    file = "CelebA-HQ-to-CelebA-mapping.txt" if name == "mapping" else f"CelebAMask-HQ-{name}-anno.txt"
    with pytest.raises(UserError) as caught:
        open_source("celebamask-hq", plant(PHOTOS | {file: text})).samples()
    assert str(caught.value).startswith(f"{file}, {message}")


def test_line_ends_and_marks_of_other_systems_are_read(plant):
    texts = {name: "\ufeff" + text.replace("\n", "\r\n") for name, text in TEXTS.items()}
    ours = open_source("celebamask-hq", plant(PHOTOS | TEXTS, "unix")).samples()
    assert open_source("celebamask-hq", plant(PHOTOS | texts, "windows")).samples() == ours


def test_a_full_size_table_keeps_only_rows_of_photos(plant):
    rows = "".join(f"{n}.jpg  {' '.join('1' if (n + k) % 2 else '-1' for k in range(3))}\n" for n in range(30_000))
    source = open_source(
        "celebamask-hq", plant(PHOTOS | {"CelebAMask-HQ-attribute-anno.txt": f"30000\n{' '.join(NAMES)}\n{rows}"})
    )
    assert [sample.attributes for sample in source.samples()] == [
        ("Male",),
        ("Eyeglasses", "Wearing_Hat"),
        ("Male",),
        ("Male",),
    ]
    assert describe(source)["annotations"]["attribute rows without a photo"] == 29_996


def test_annotations_decide_without_opening_photos(plant):
    source = open_source("celebamask-hq", plant(dict.fromkeys(PHOTOS, b"") | TEXTS))
    rules = {"exclude_attributes": ("Eyeglasses",), "pose_limits": {"yaw": 10}}
    verdicts = {sample.id: check_annotations(sample, **rules) for sample in source.samples()}
    assert {i: v and v.kind for i, v in verdicts.items()} == {
        "00000": "pose",
        "00001": "attribute",
        "00002": None,
        "00012": None,
    }
