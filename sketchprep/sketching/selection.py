"""Selection rules on annotations, masks, pose and face size, each a pure function.

A rule answers None if the face passes, or if it has no figure to judge by, and otherwise a `SampleError` with
``rejected=True`` that carries the figure and the limit.  Rules never raise it themselves: the planner makes a row of
it, a worker raises it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sketchprep.errors import SampleError, UserError

if TYPE_CHECKING:
    import numpy as np

    from sketchprep.records import Sample

__all__ = [
    "check_annotations",
    "check_attribute_names",
    "check_attributes",
    "check_face_count",
    "check_face_size",
    "check_mask_names",
    "check_masks",
    "check_pose",
    "check_unseen",
    "unjudged",
]

AXES = ("yaw", "pitch", "roll")


def check_annotations(
    sample: Sample,
    *,
    exclude_attributes: Collection[str] = (),
    require_attributes: Collection[str] = (),
    pose_limits: Mapping[str, float] | None = None,
) -> SampleError | None:
    """Judge a sample by its source's own annotations, before its photo is opened.

    Where an annotation is missing, its rule does not apply; see `unjudged` for how often that happens.

    Parameters
    ----------
    sample : Sample
    exclude_attributes, require_attributes : collection of str
        Attributes that must not, or must, be true.
    pose_limits : mapping, optional
        Largest absolute angle in degrees by axis: ``"yaw"``, ``"pitch"``, ``"roll"``; an absent axis is free.
    """
    error = check_attributes(sample.attributes, exclude=exclude_attributes, require=require_attributes)
    return error or check_pose(sample.pose, pose_limits or {})


def check_attributes(
    attributes: Collection[str] | None, *, exclude: Collection[str] = (), require: Collection[str] = ()
) -> SampleError | None:
    """Judge by the attributes that are true of a photo; None for `attributes` means it has no annotation."""
    if attributes is None:
        return None
    unwanted = sorted(set(exclude) & set(attributes))
    if unwanted:
        return _reject("attribute", f"annotated as {', '.join(unwanted)}, which the selection excludes")
    lacking = sorted(set(require) - set(attributes))
    if lacking:
        return _reject("attribute", f"not annotated as {', '.join(lacking)}, which the selection requires")
    return None


def check_pose(pose: Sequence[float] | None, limits: Mapping[str, float]) -> SampleError | None:
    """Judge by (yaw, pitch, roll) in degrees; an angle at its limit passes.

    Parameters
    ----------
    pose : sequence of three floats or None
    limits : mapping
        Largest absolute angle by axis name.

    Returns
    -------
    SampleError or None
        Kind ``"pose"``; the message names every axis over its limit.
    """
    unknown = set(limits) - set(AXES)
    if unknown:
        raise UserError(f"select.pose: unknown axis {min(unknown)!r}; give yaw, pitch or roll")
    if pose is None:
        return None
    over = [
        f"{axis} {angle:.1f}° is over the limit of {limits[axis]:g}°"
        for axis, angle in zip(AXES, pose, strict=True)
        if axis in limits and not abs(angle) <= limits[axis]
    ]
    return _reject("pose", ", ".join(over)) if over else None


def check_masks(masks: Mapping[str, np.ndarray], limits: Mapping[str, float]) -> SampleError | None:
    """Judge by the share of the picture that part masks cover.

    Parameters
    ----------
    masks : mapping
        Name to boolean array of shape (h, w); an absent name covers nothing.
    limits : mapping
        Largest share by name, 0 to 1; with 0 a single pixel rejects.

    Returns
    -------
    SampleError or None
        Kind ``"mask"``.
    """
    for name in sorted(set(limits) & set(masks)):
        share = float(masks[name].mean()) if masks[name].size else 0.0
        if share > limits[name]:
            # Two significant digits: a few pixels of a hat must not read as "0.0 %".
            message = f"{name} covers {100 * share:.2g} % of the picture, over the limit of {100 * limits[name]:g} %"
            return _reject("mask", message)
    return None


def check_face_count(count: int, *, one_face: bool = True) -> SampleError | None:
    """Judge by the number of faces found: kinds ``"no-face"`` and ``"several-faces"``."""
    if count < 1:
        return _reject("no-face", "no face was found")
    if one_face and count > 1:
        return _reject("several-faces", f"{count} faces were found, and only one is wanted")
    return None


def check_face_size(
    *,
    eye_distance: float | None = None,
    min_eye_distance: float = 0.0,
    face_height: float | None = None,
    min_face_height: float = 0.0,
) -> SampleError | None:
    """Judge by the size of the face in pixels of the original photo.

    Parameters
    ----------
    eye_distance : float, optional
        Distance between the centres of the eyes.
    face_height : float, optional
        Height of the face box.
    min_eye_distance, min_face_height : float
        Smallest that pass; a size that is not given is not judged.

    Returns
    -------
    SampleError or None
        Kind ``"face-size"``.
    """
    sizes = (
        ("the eyes are", "apart", eye_distance, min_eye_distance),
        ("the face is", "high", face_height, min_face_height),
    )
    for what, how, size, least in sizes:
        if size is not None and not size >= least:
            return _reject("face-size", f"{what} {size:.1f} px {how}, under the limit of {least:g} px")
    return None


def check_unseen(unseen: Collection[str] | None, most: int | None) -> SampleError | None:
    """Judge by the number of the face's features that a photo does not show: kind ``"unseen"``."""
    if unseen is None or most is None or len(unseen) <= most:
        return None
    names = ", ".join(name.replace("_", " ") for name in unseen)
    return _reject("unseen", f"{len(unseen)} features are not seen ({names}), over the limit of {most}")


def check_attribute_names(wanted: Iterable[str], known: Collection[str], *, key: str = "select") -> None:
    """Refuse attribute names that no source knows.

    Parameters
    ----------
    wanted : iterable of str
        What a recipe excludes or requires.
    known : collection of str
        All that its sources know (`Source.attribute_names`); if empty, there is nothing to check against.
    key : str
        The recipe's key, for the message.

    Raises
    ------
    UserError
        Naming the first unknown attribute and its near matches.
    """
    _check_names(wanted, known, key, "attribute")


def check_mask_names(wanted: Iterable[str], known: Collection[str], *, key: str = "select.exclude_masks") -> None:
    """Refuse mask names that no source knows, as `check_attribute_names` does."""
    _check_names(wanted, known, key, "mask")


def unjudged(
    lacking: Mapping[str, int],
    *,
    exclude_attributes: Collection[str] = (),
    require_attributes: Collection[str] = (),
    pose_limits: Mapping[str, float] | None = None,
) -> dict[str, int]:
    """Pick the missing annotations that switch a wanted rule off.

    Parameters
    ----------
    lacking : mapping
        ``"attributes"`` and ``"pose"`` to the number of samples without.

    Returns
    -------
    dict
        Only what the rules ask for and is missing somewhere.
    """
    asked = {"attributes": bool(exclude_attributes or require_attributes), "pose": bool(pose_limits)}
    return {name: lacking[name] for name, wanted in asked.items() if wanted and lacking[name]}


def _check_names(wanted: Iterable[str], known: Collection[str], key: str, noun: str) -> None:
    for name in wanted:
        if not known or name in known:
            continue
        folded = {other.lower(): other for other in sorted(known)}
        close = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.5)
        hint = (
            f"did you mean {' or '.join(folded[c] for c in close)}?" if close else f"known: {', '.join(sorted(known))}"
        )
        raise UserError(f"{key}: no source has the {noun} {name!r}; {hint}")


def _reject(kind: str, message: str) -> SampleError:
    return SampleError(kind, message, rejected=True)
