"""The summary of a corpus and its text."""

import json

from sketchprep.datasets.sources import open_source
from sketchprep.datasets.sources.base import Scan, Source
from sketchprep.datasets.sources.describe import describe, render_description
from sketchprep.records import Failure, Sample


class Poses(Source):
    name, licence, about, obtain = "poses", "none", "numbers", "nowhere"

    def _scan(self):
        samples = [Sample(f"{n:03d}", "poses", f"{n}.jpg", 10, pose=(n - 50.0, 0.0, -10.0)) for n in range(101)]
        refused = [Failure("b", "poses", "list", "link-loop", ""), Failure("a", "poses", "list", "link-loop", "")]
        return Scan(samples[::-1], refused)


def test_pose_quantiles_and_shares(tmp_path):
    poses = describe(Poses(tmp_path))["poses"]
    assert poses["quantiles"]["yaw"] == {
        "0 %": -50.0,
        "5 %": -45.0,
        "25 %": -25.0,
        "50 %": 0.0,
        "75 %": 25.0,
        "95 %": 45.0,
        "100 %": 50.0,
    }
    # Roll is 10 degrees everywhere: nothing lies within 5, and 21 of 101 within 10.
    assert poses["share within"]["5°"] == 0
    assert poses["share within"]["10°"] == round(21 / 101, 4)
    assert poses["share within"]["20°"] == round(41 / 101, 4)


def test_a_scan_is_sorted_once_whatever_the_source_gives(tmp_path):
    source = Poses(tmp_path)
    assert [sample.id for sample in source.samples()] == [f"{n:03d}" for n in range(101)]
    assert [failure.id for failure in source.refused()] == ["a", "b"]
    assert source.scan() is source.scan()


def test_text_tells_figures_and_what_is_off(plant):
    photos = {f"CelebA-HQ-img/{n}.jpg": n for n in range(4)}
    texts = {"CelebAMask-HQ-attribute-anno.txt": "2\nEyeglasses Male\n0.jpg 1 -1\n1.jpg -1 -1\n"}
    root = plant(photos | texts | {"CelebA-HQ-img/foo.jpg": 1})
    description = describe(open_source("celebamask-hq", root))
    text = render_description(json.loads(json.dumps(description)))
    assert "photos    4, " in text
    assert "bad-name       1  'CelebA-HQ-img/foo.jpg': photos of this corpus are named" in text
    assert "photos without an attribute row 2" in text
    assert "Eyeglasses            50.0 %" in text
    assert "missing   CelebAMask-HQ-pose-anno.txt: switches off" in text


def test_an_empty_folder_can_be_described(tmp_path):
    description = describe(open_source("folder", tmp_path))
    assert description["photos"] == 0
    assert "photos    0" in render_description(description)


def test_poses_are_rendered_as_a_table(tmp_path):
    text = render_description(describe(Poses(tmp_path)))
    assert "poses of 101 photos" in text
    assert "  yaw        -50.0   -45.0" in text
    assert "within 5° 0.0 %, 10° 20.8 %" in text
