"""What a folder offers: by name or by content, through links where that is safe, never what sketchprep wrote itself."""

import json

import cv2
import numpy as np
import pytest

from sketchprep.datasets.sources import open_source, open_tree
from sketchprep.datasets.sources.folder_tree import FolderTree
from sketchprep.errors import SampleError, UserError

PIXELS = np.arange(24 * 24 * 3, dtype=np.uint8).reshape(24, 24, 3)
JPEG, PNG = (cv2.imencode(extension, PIXELS)[1].tobytes() for extension in (".jpg", ".png"))


def paths(root, **options):
    return [entry.path for entry in FolderTree(root, **options).files().files]


def test_pictures_are_taken_by_any_of_their_extensions_or_by_their_first_bytes(plant, zipped):
    pictures = ["a.jfif", "b.jpe", "c.PJPEG", "d.ppm", "e", "f.jpg_large", "john.smith", "g.JPG!w400", "sub/h"]
    others = {"notes": b"P5 is a protocol", "x.txt": JPEG, "y.bin": bytes(64), "z.tmp": b"", "raw.dng": b"II*\0" * 9}
    root = plant(
        {**dict.fromkeys(pictures, JPEG), **others, "tif": b"II*\0" + bytes(60), "gimp": b"P6\n# by GIMP\n1 1\n255\n"}
    )
    for tree in (FolderTree(root), open_tree(zipped(root))):
        listing = tree.files()
        assert [entry.path for entry in listing.files] == sorted([*pictures, "tif", "gimp"])
        assert listing.ignored.counts == {"no extension": 1, ".txt": 1, ".bin": 1, ".tmp": 1, ".dng": 1}


def test_a_snapshot_of_a_hub_cache_is_read_through_its_links(plant):
    root = plant({"data--faces/blobs/1f3a": JPEG, "data--faces/blobs/2e4b": PNG, "data--faces/refs/main": b"rev"})
    snapshot = root / "data--faces/snapshots/rev"
    (snapshot / "train").mkdir(parents=True)
    (snapshot / "a.jpg").symlink_to("../../blobs/1f3a")
    (snapshot / "train/b.png").symlink_to("../../../blobs/2e4b")
    assert paths(snapshot) == ["a.jpg", "train/b.png"]
    assert FolderTree(snapshot).read("train/b.png") == PNG
    assert FolderTree(snapshot / "train").read("b.png") == PNG
    assert paths(root) == ["data--faces/snapshots/rev/a.jpg", "data--faces/snapshots/rev/train/b.png"]
    assert FolderTree(root).files().ignored.counts["store of a hub's cache"] == 1


def test_links_that_leave_are_followed_when_the_user_says_so(plant):
    root, other = plant({"a.jpg": JPEG}), plant({"b.jpg": PNG, "in/c.jpg": JPEG}, "other")
    (root / "b.jpg").symlink_to(other / "b.jpg")
    (root / "more").symlink_to(other / "in")
    (root / "up").symlink_to("..")
    assert paths(root) == ["a.jpg"]
    assert paths(root, follow_links=True) == ["a.jpg", "b.jpg", "more/c.jpg"]
    source = open_source("folder", root, follow_links=True)
    assert [source.read(sample.path) for sample in source.samples()] == [JPEG, PNG, JPEG]
    with pytest.raises(SampleError, match="--follow-links"):
        FolderTree(root).read("b.jpg")


def test_folders_that_a_command_wrote_are_passed_over(plant, tmp_path):
    marker = json.dumps({"settings": {}, "finished": True, "result": {}})
    root = plant(
        {
            "a.jpg": JPEG,
            "data/recipe.yaml": "x",
            "data/shards/train-000000.tar": b"x",
            "data/preview.jpg": JPEG,
            "pix/export.json": marker,
            "pix/train/0.jpg": JPEG,
            "parts/meta.json": marker,
            "parts/mouth/0.png": PNG,
            "run/run.yaml": "x",
            "run/checkpoints/x": b"x",
            "run/samples/1.jpg": JPEG,
            "album/meta.json": json.dumps({"title": "summer"}),
            "album/b.jpg": JPEG,
        }
    )
    tree = FolderTree(root)
    tree.leave_out(root / "album")
    listing = tree.files()
    assert [entry.path for entry in listing.files] == ["a.jpg"]
    assert listing.ignored.reasons["folder that sketchprep wrote"].count == 5
    tree.leave_out(root)  # the root itself is what the user asked for
    assert paths(root) == ["a.jpg", "album/b.jpg"]
    assert paths(root / "pix") == ["train/0.jpg"]


def test_what_was_left_out_is_counted_by_reason_with_the_first_names(plant):
    table = {"t.csv": "id,Hat\na.jpg,1\nz.jpg,1\n", "u.csv": "x"}  # the first is used, and so not left out
    root = plant({"a.jpg": JPEG, **table, **{f"{n}.txt": b"x" for n in range(5)}})
    (root / "gone.jpg").symlink_to("nothing")
    block = open_source("folder", root, attributes="t.csv").left_out().text()
    assert block.splitlines() == [
        "left out",
        "  broken-link                          1  'gone.jpg': the link points to nothing",
        "  .txt                                 5  '0.txt', '1.txt', '2.txt', …",
        "  .csv                                 1  'u.csv'",
        "  attribute rows without a photo       1  'z.jpg'",
    ]


def test_no_photo_was_found_names_what_is_known(plant, zipped):
    from sketchprep.datasets.build.planner import list_sources

    root = plant({"a.txt": b"x"})
    (root / "b.jpg").symlink_to("../elsewhere.jpg")
    with pytest.raises(UserError, match=r"left out: 1 leaves-root \('b.jpg': .*\); 1 .txt \('a.txt'\)"):
        list_sources([open_source("folder", root)])
