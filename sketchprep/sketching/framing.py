"""Frame one decoded photo: landmarks, selection rules, alignment, label map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sketchprep.errors import SampleError
from sketchprep.ops import align, labels, pose
from sketchprep.ops.resize import resize
from sketchprep.ops.visible_features import unseen_features
from sketchprep.ops.warp import outside_share, transform_points, warp
from sketchprep.sketching import selection
from sketchprep.sketching.face_evidence import gather_evidence
from sketchprep.sketching.face_finding import FaceFinder

if TYPE_CHECKING:
    from sketchprep.records import DecodedPhoto
    from sketchprep.sketching.face_evidence import FaceEvidence
    from sketchprep.sketching.landmarks import Landmarker
    from sketchprep.sketching.mediapipe import MediaPipeLandmarker
    from sketchprep.sketching.recipe import Recipe
    from sketchprep.sketching.sketcher import Timer

__all__ = ["FramedPhoto", "blank_outside", "bring_into_frame"]

# A frame that is larger than the face by less than this is not called blown up: nobody sees so little.
UPSCALE_TOLERANCE = 1.05


@dataclass(frozen=True, slots=True)
class FramedPhoto:
    """A photo in the frame, with what is known of it.

    Attributes
    ----------
    photo : ndarray of uint8, shape (size, size, 3)
    landmarks : ndarray of float64, shape (68, 2), or None
        In pixels of the frame.
    pose : tuple of float or None
        (yaw, pitch, roll) in degrees, in the frame: the source's own, else estimated from the landmarks.
    matrix : ndarray of float64, shape (2, 3)
        Maps photo pixels to the frame.
    width, height : int
        Of the photo as it came, upright.
    encoded : bytes or None
        The photo's own file, where nothing at all was changed.
    sketch, labels : ndarray of uint8, shape (size, size), or None
        A ready-made drawing, and the label map, both in the frame.
    face_score : float or None
        Evidence that there is a face, see `sketchprep.sketching.face_evidence`; None where nobody looked.
    unseen : tuple of str or None
        Features that the photo does not show, see `sketchprep.ops.visible_features`; None where nobody looked.
    context : ndarray of uint8, shape (size, size, 3), or None
        Where `photo` is white outside the original (APDrawing's frame), the same with the picture continued: sketch
        stages see this one, or they would draw the photo's edge.
    """

    photo: np.ndarray
    landmarks: np.ndarray | None
    pose: tuple[float, float, float] | None
    matrix: np.ndarray
    width: int
    height: int
    encoded: bytes | None
    sketch: np.ndarray | None
    labels: np.ndarray | None
    face_score: float | None = None
    unseen: tuple[str, ...] | None = None
    context: np.ndarray | None = None


def blank_outside(sketch: np.ndarray, matrix: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """Return a sketch made from `FramedPhoto.context` with blank paper where there was no photo.

    Parameters
    ----------
    matrix : 6 floats
        Maps photo pixels to the frame, row by row.
    size : (width, height)
        Of the photo as it came.
    """
    inside = np.full((size[1], size[0]), 255, np.uint8)
    to_frame = np.asarray(matrix, np.float64).reshape(2, 3)
    shown = cv2.warpAffine(inside, to_frame, sketch.shape[::-1], flags=cv2.INTER_NEAREST)
    return np.where(shown == 255, sketch, np.uint8(255))


def bring_into_frame(
    recipe: Recipe,
    picture: DecodedPhoto,
    landmarker: Landmarker | MediaPipeLandmarker,
    *,
    face_checker: MediaPipeLandmarker | None = None,
    source_frame: str | None = None,
    masks: Mapping[str, np.ndarray] | None = None,
    known_pose: tuple[float, float, float] | None = None,
    timer: Timer = nullcontext,
) -> FramedPhoto:
    """Select and align one decoded photo.

    Parameters
    ----------
    recipe : Recipe
        Its `select`, `align`, `rotate`, `landmarks`, `size`, `upscale` and `labels` count.
    picture : DecodedPhoto
    landmarker : Landmarker or MediaPipeLandmarker
    face_checker : MediaPipeLandmarker, optional
        Gives evidence that there is a face, if the recipe's `select.min_face_score` asks for it.
    source_frame : str, optional
        The frame that the photo is in already, ``"ffhq"`` or ``"apdrawing"``.
    masks : mapping of str to ndarray of bool or uint8, shape (H, W), optional
        The photo's region masks by name; may be smaller than the photo.
    known_pose : tuple of float, optional
        (yaw, pitch, roll) in degrees, from annotations; else it is estimated from the landmarks.
    timer : callable
        Is entered as ``timer("landmarks")`` and ``timer("align")``.

    Raises
    ------
    SampleError
        If the picture is not wanted or cannot be used.
    """
    masks = masks or {}
    if masks:
        _demand(selection.check_masks(masks, recipe.select.exclude_masks))
    framed = source_frame is not None and source_frame == recipe.align.template
    evidence = _evidence(recipe, source_frame, picture, face_checker, timer)
    if evidence is not None and recipe.rotate and source_frame is None and evidence.quarter_turns:
        upright = recipe.model_copy(update={"rotate": False})
        turned, turned_masks, turn = _turn(picture, masks, evidence.quarter_turns)
        result = bring_into_frame(
            upright,
            turned,
            landmarker,
            face_checker=face_checker,
            masks=turned_masks,
            known_pose=known_pose,
            timer=timer,
        )
        height, width = picture.photo.shape[:2]
        return replace(result, matrix=result.matrix @ turn, width=width, height=height)
    bring = _keep if framed or recipe.align.template == "none" else _align
    photo, matrix, points = bring(recipe, source_frame, picture, FaceFinder(recipe, landmarker, evidence), timer)
    angles = known_pose or (pose.estimate_pose(points) if points is not None else None)
    _demand(selection.check_pose(angles, recipe.select.pose.limits))
    unseen = unseen_features(photo, points) if points is not None and recipe.select.min_face_score is not None else None
    _demand(selection.check_unseen(unseen, recipe.select.max_unseen))
    height, width = picture.photo.shape[:2]
    untouched = photo is picture.photo
    bare = recipe.align.template == "apdrawing" and outside_share(matrix, picture.photo.shape, recipe.size) > 0
    return FramedPhoto(
        photo=photo,
        landmarks=points,
        pose=angles,
        matrix=matrix,
        width=width,
        height=height,
        encoded=picture.encoded if untouched else None,
        sketch=None if picture.sketch is None else _warp(picture.sketch, matrix, recipe.size),
        labels=_labels(masks, matrix, picture.photo.shape, recipe.size) if masks and recipe.labels else None,
        face_score=None if evidence is None else evidence.score,
        unseen=unseen,
        context=warp(picture.photo, matrix, recipe.size, border="fade") if bare else None,
    )


def _evidence(
    recipe: Recipe,
    source_frame: str | None,
    picture: DecodedPhoto,
    face_checker: MediaPipeLandmarker | None,
    timer: Timer,
) -> FaceEvidence | None:
    """What a photo shows of faces; None where nobody asks, or where its landmarks are known."""
    limit = recipe.select.min_face_score
    if face_checker is None or limit is None or picture.landmarks is not None:
        return None
    several = recipe.select.one_face and source_frame is None
    with timer("landmarks"):
        return gather_evidence(face_checker, picture.photo, limit=limit, several=several, frame=source_frame)


def _turn(
    picture: DecodedPhoto, masks: Mapping[str, np.ndarray], quarters: int
) -> tuple[DecodedPhoto, dict[str, np.ndarray], np.ndarray]:
    """Turn a photo and its masks clockwise; and the 3×3 map from its pixels to the turned ones."""

    def turned(image: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.rot90(image, -quarters))

    height, width = picture.photo.shape[:2]
    turn = np.eye(3)
    for _ in range(quarters):
        turn = np.array([[0, -1, height - 1], [1, 0, 0], [0, 0, 1]]) @ turn
        height, width = width, height
    sketch = None if picture.sketch is None else turned(picture.sketch)
    upright = replace(picture, photo=turned(picture.photo), sketch=sketch, encoded=None)
    return upright, {name: turned(mask) for name, mask in masks.items()}, turn


def _keep(
    recipe: Recipe, source_frame: str | None, picture: DecodedPhoto, finder: FaceFinder, timer: Timer
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A picture that is not to be aligned: only scale it (or its centred square), and take the landmarks there."""
    height, width = picture.photo.shape[:2]
    if source_frame is not None and height != width:
        raise SampleError("not-square", f"{width}×{height} px; a photo of an aligned corpus must be square")
    _check_scale(recipe, recipe.size / min(height, width))
    with timer("align"):
        if height == width:
            square = (recipe.size, recipe.size)
            photo = picture.photo if width == recipe.size else resize(picture.photo, square)
            matrix = _scaling(recipe.size / width)
        else:
            aligned = align.align(picture.photo, None, template="none", size=recipe.size)
            photo, matrix = aligned.image, aligned.matrix
    if picture.landmarks is not None:
        return photo, matrix, transform_points(matrix, picture.landmarks)
    with timer("landmarks"):
        if source_frame is not None:
            return photo, matrix, finder.in_frame(photo, source_frame, matrix)
        points = finder.largest_or_none(photo, matrix)
    if points is not None:
        _demand_size(recipe, points / matrix[0, 0])
    return photo, matrix, points


def _align(
    recipe: Recipe, source_frame: str | None, picture: DecodedPhoto, finder: FaceFinder, timer: Timer
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture in no frame, or in another one: find the face and warp it."""
    with timer("landmarks"):
        if picture.landmarks is not None:
            points = picture.landmarks
        elif source_frame is not None:
            points = finder.in_frame(picture.photo, source_frame)
        else:
            points = finder.largest(picture.photo)
    _demand_size(recipe, points)
    with timer("align"):
        aligned = align.align(picture.photo, points, template=recipe.align.template, size=recipe.size)
    _check_scale(recipe, aligned.scale)
    return aligned.image, aligned.matrix, transform_points(aligned.matrix, points)


def _demand(error: SampleError | None) -> None:
    if error is not None:
        raise error


def _demand_size(recipe: Recipe, points: np.ndarray) -> None:
    """Judge the face's size by landmarks in pixels of the original photo."""
    distance = float(np.linalg.norm(points[42:48].mean(axis=0) - points[36:42].mean(axis=0)))
    _demand(selection.check_face_size(eye_distance=distance, min_eye_distance=recipe.select.min_eye_distance))


def _check_scale(recipe: Recipe, scale: float) -> None:
    if scale > UPSCALE_TOLERANCE and not recipe.upscale:
        raise SampleError(
            "too-small",
            f"the photo would be blown up {scale:.2f} times to fill {recipe.size} px; "
            "allow it with --set upscale=true or choose a smaller size",
            rejected=True,
        )


def _scaling(scale: float) -> np.ndarray:
    """The matrix of a resize, with pixel centres at whole numbers."""
    shift = (scale - 1) / 2
    return np.array([[scale, 0, shift], [0, scale, shift]])


def _warp(sketch: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """A drawing beside its photo: the same warp, white paper outside."""
    return warp(sketch, matrix, size, border="white")


def _labels(
    masks: Mapping[str, np.ndarray], matrix: np.ndarray, photo_shape: tuple[int, ...], size: int
) -> np.ndarray | None:
    """The label map in the frame.  Masks may be smaller than their photo."""
    merged = labels.label_map(masks)
    scale = photo_shape[1] / merged.shape[1]
    to_photo = np.vstack([_scaling(scale), [0, 0, 1]])
    return cv2.warpAffine(merged, matrix @ to_photo, (size, size), flags=cv2.INTER_NEAREST)
