"""Selection rules: who passes, who does not, and what the message says."""

import numpy as np
import pytest

from sketchprep.errors import UserError
from sketchprep.records import Sample
from sketchprep.sketching.selection import (
    check_annotations,
    check_attribute_names,
    check_attributes,
    check_face_count,
    check_face_size,
    check_mask_names,
    check_masks,
    check_pose,
    unjudged,
)

LIMITS = {"yaw": 20, "pitch": 20, "roll": 20}


def sample(attributes=None, pose=None):
    return Sample("a", "folder", "a.jpg", attributes=attributes, pose=pose)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_pose_limits_hold_on_every_axis_in_both_directions(axis, sign):
    pose = [0.0, 0.0, 0.0]
    pose[axis] = sign * 20.0
    assert check_pose(pose, LIMITS) is None
    pose[axis] = sign * 31.2
    error = check_pose(pose, LIMITS)
    name = ("yaw", "pitch", "roll")[axis]
    assert (error.kind, error.rejected) == ("pose", True)
    assert error.message == f"{name} {sign * 31.2:.1f}° is over the limit of 20°"
    assert check_pose(pose, {**LIMITS, name: 45}) is None
    assert check_pose(pose, {k: v for k, v in LIMITS.items() if k != name}) is None


def test_every_axis_over_its_limit_is_named():
    assert check_pose((-25, 3, 40), LIMITS).message == (
        "yaw -25.0° is over the limit of 20°, roll 40.0° is over the limit of 20°"
    )


def test_an_angle_that_is_no_number_does_not_pass():
    assert check_pose((float("nan"), 0, 0), LIMITS).kind == "pose"


def test_an_unknown_axis_is_the_users_mistake():
    with pytest.raises(UserError, match="unknown axis 'jaw'"):
        check_pose((0, 0, 0), {"jaw": 20})


def test_attributes():
    error = check_attributes(("Eyeglasses", "Male", "Wearing_Hat"), exclude=("Wearing_Hat", "Eyeglasses", "Bald"))
    assert (error.kind, error.rejected) == ("attribute", True)
    assert "Eyeglasses, Wearing_Hat, which the selection excludes" in error.message
    assert check_attributes(("Male",), exclude=("Eyeglasses",)) is None
    assert check_attributes((), require=("Young",)).message == "not annotated as Young, which the selection requires"
    assert check_attributes(("Young",), require=("Young",)) is None


def test_rules_without_an_annotation_do_not_apply_but_are_counted():
    rules = {"exclude_attributes": ["Male"], "require_attributes": ["Young"], "pose_limits": {"yaw": 1}}
    assert check_annotations(sample(), **rules) is None
    assert check_annotations(sample(attributes=()), **rules).kind == "attribute"
    assert check_annotations(sample(pose=(2, 0, 0)), **rules).kind == "pose"
    lacking = {"attributes": 2, "pose": 3}
    assert unjudged(lacking, **rules) == lacking
    assert unjudged(lacking, pose_limits={"yaw": 1}) == {"pose": 3}
    assert unjudged({**lacking, "attributes": 0}, exclude_attributes=["Male"]) == {}
    assert unjudged(lacking) == {}


def test_masks_reject_above_their_share():
    hat = np.zeros((10, 10), bool)
    hat[0, :3] = True
    assert check_masks({"hat": hat}, {"hat": 0.03}) is None
    error = check_masks({"hat": hat}, {"hat": 0.02})
    assert (error.kind, error.rejected) == ("mask", True)
    assert error.message == "hat covers 3 % of the picture, over the limit of 2 %"
    assert check_masks({"hat": hat}, {"eye_g": 0.0}) is None
    assert check_masks({"hat": np.zeros((4, 4), bool)}, {"hat": 0.0}) is None
    assert check_masks({}, {"hat": 0.0}) is None


def test_a_single_pixel_is_told_as_a_share_that_is_not_zero():
    hat = np.zeros((512, 512), bool)
    hat[5, 5] = True
    assert "hat covers 0.00038 %" in check_masks({"hat": hat}, {"hat": 0.0}).message


def test_number_of_faces():
    assert check_face_count(1) is None
    assert check_face_count(0).kind == "no-face"
    assert check_face_count(0, one_face=False).kind == "no-face"
    error = check_face_count(3)
    assert (error.kind, error.rejected) == ("several-faces", True)
    assert error.message.startswith("3 faces")
    assert check_face_count(3, one_face=False) is None


def test_size_of_the_face():
    assert check_face_size(eye_distance=64.0, min_eye_distance=64) is None
    error = check_face_size(eye_distance=63.94, min_eye_distance=64)
    assert (error.kind, error.rejected) == ("face-size", True)
    assert error.message == "the eyes are 63.9 px apart, under the limit of 64 px"
    assert check_face_size(face_height=99, min_face_height=100).message.startswith("the face is 99.0 px high")
    assert check_face_size(min_eye_distance=64) is None
    assert check_face_size(eye_distance=1) is None


def test_unknown_attribute_names_list_near_matches():
    known = ("Eyeglasses", "Wearing_Hat", "Wearing_Earrings")
    check_attribute_names(("Eyeglasses",), known)
    check_attribute_names(("anything",), ())
    with pytest.raises(UserError, match=r"select.exclude_attributes: .*'eye_glasses'; did you mean Eyeglasses\?"):
        check_attribute_names(("Eyeglasses", "eye_glasses"), known, key="select.exclude_attributes")
    with pytest.raises(UserError, match="known: Eyeglasses, Wearing_Earrings, Wearing_Hat"):
        check_attribute_names(("Zzz",), known)
    with pytest.raises(UserError, match=r"no source has the mask 'hats'; did you mean hat"):
        check_mask_names({"hats": 0.0}, ("hat", "hair", "eye_g"))
