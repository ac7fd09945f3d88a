"""Head pose (yaw, pitch, roll) from the 68 landmarks, by fitting a rigid generic face.

The angles are those of a rigid generic face seen by a pinhole camera that stands `distance` millimetres away and points
at the face.  Picture size and position do not enter, so a photo and any crop of it give the same yaw and pitch.

The face is an approximation made for this project: the mean shape of the landmarks on 159 synthetic CC0 portraits,
recovered by rigid structure from motion (Tomasi and Kanade, IJCV 1992) with left and right made equal, scaled to 63 mm
between the eye centres and tilted so that the median portrait has pitch 0.  Agreement with the angles that
CelebAMask-HQ publishes (made by another method) has not been verified, neither in size nor in sign.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from sketchprep.errors import SampleError

__all__ = ["FACE", "MIRROR", "RIGID", "Pose", "estimate_pose", "project", "rotation"]

MIRROR = np.concatenate(
    [
        np.r_[16:-1:-1, 26:16:-1, 27:31, 35:30:-1],
        [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40],
        np.r_[54:47:-1, 59:54:-1, 64:59:-1, 67:64:-1],
    ]
)
"""``MIRROR[i]`` is the index of landmark i in the mirrored picture, shape (68,)."""

# Left half (and middle line) of the face in millimetres: x to the right of the image, y down, z away from the camera;
# the origin lies between the eyes.
_HALF = {
    17: (-57.0, -11.5, 12.5),
    18: (-49.0, -20.5, 4.0),
    19: (-36.0, -23.0, -4.0),
    20: (-23.0, -21.0, -10.5),
    21: (-10.5, -16.5, -15.5),
    27: (0.0, -3.5, -17.0),
    28: (0.0, 9.0, -23.5),
    29: (0.0, 21.5, -30.5),
    30: (0.0, 34.5, -37.0),
    31: (-16.0, 41.5, -20.0),
    32: (-8.5, 44.0, -23.5),
    33: (0.0, 46.0, -26.0),
    36: (-43.5, -0.5, 3.0),
    37: (-36.0, -5.0, 0.5),
    38: (-27.0, -5.0, -1.5),
    39: (-19.0, 0.5, -3.0),
    40: (-27.5, 1.5, -2.0),
    41: (-36.0, 1.5, -0.5),
    48: (-29.5, 62.5, 2.5),
    49: (-18.5, 59.0, -11.0),
    50: (-8.0, 57.0, -18.5),
    51: (0.0, 59.0, -19.5),
}
# Left out: the jaw's points, which slide along the contour as a head turns, and the lower lip, which the mouth moves.
_BOTH = {**_HALF, **{int(MIRROR[i]): (-x, y, z) for i, (x, y, z) in _HALF.items()}}

RIGID = np.array(sorted(_BOTH))
"""Numbers of the landmarks that take part, shape (N,)."""

FACE = np.array([_BOTH[i] for i in sorted(_BOTH)])
"""Their places on the generic face in millimetres, shape (N, 3)."""

_DISTANCE = 1000.0


class Pose(NamedTuple):
    """Angles in degrees, all 0 for a face that looks straight into the camera.

    Attributes
    ----------
    yaw : float
        Positive if the nose points to the left of the image.
    pitch : float
        Positive if it points up.
    roll : float
        Positive if the head is tilted clockwise in the image.
    """

    yaw: float
    pitch: float
    roll: float


def estimate_pose(landmarks: np.ndarray, *, distance: float = _DISTANCE) -> Pose:
    """Estimate yaw, pitch and roll by solving the perspective-n-point problem on the rigid landmarks.

    Parameters
    ----------
    landmarks : ndarray, shape (68, 2)
        (x, y) in pixels of any picture.
    distance : float
        From the camera to the face in millimetres.

    Returns
    -------
    Pose
        Mirroring the picture negates yaw and roll; turning it clockwise adds to roll alone.

    Raises
    ------
    SampleError
        ``"landmarks"`` if the points span no face.
    """
    points = np.asarray(landmarks, np.float64)[RIGID]
    points = points - points.mean(axis=0)
    if not (np.isfinite(points).all() and np.ptp(points) > 1):
        raise SampleError("landmarks", "the landmarks span no face")
    scale, start = _parallel_view(points)
    # In units of the focal length a face one millimetre wide at that distance spans 1 / distance.
    seen = points / (scale * distance)
    face = FACE - FACE.mean(axis=0)
    turn, _ = cv2.Rodrigues(start)
    ok, turn, _ = cv2.solvePnP(
        face,
        seen,
        np.eye(3),
        None,
        turn,
        np.array([[0.0], [0.0], [distance]]),
        useExtrinsicGuess=True,
        flags=cv2.SOLVEPNP_ITERATIVE,
    )
    if not ok or not np.isfinite(turn).all():
        raise SampleError("landmarks", "no pose fits the landmarks")
    return _angles(cv2.Rodrigues(turn)[0])


def rotation(pose: Pose | tuple[float, float, float]) -> np.ndarray:
    """Return the rotation of a pose, from the face's axes to the camera's (x right, y down, z away); shape (3, 3).

    The head nods first, turns next, and is tilted in the image last.
    """
    yaw, pitch, roll = np.deg2rad(pose)
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    shake = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    tilt = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return tilt @ shake @ nod


def project(pose: Pose | tuple[float, float, float], *, scale: float = 2.0, distance: float = _DISTANCE) -> np.ndarray:
    """Project the generic face as the camera of `estimate_pose` sees it.

    Parameters
    ----------
    pose : Pose or tuple of float
        (yaw, pitch, roll) in degrees.
    scale : float
        Pixels to a millimetre at the face.
    distance : float
        From the camera to the face in millimetres.

    Returns
    -------
    ndarray of float64, shape (N, 2)
        The landmarks `RIGID`, relative to the point that the camera looks at.
    """
    placed = (FACE - FACE.mean(axis=0)) @ rotation(pose).T
    return placed[:, :2] * (scale * distance / (distance + placed[:, 2:]))


def _angles(matrix: np.ndarray) -> Pose:
    yaw = np.arcsin(np.clip(-matrix[2, 0], -1, 1))
    pitch = -np.arctan2(matrix[2, 1], matrix[2, 2])
    roll = np.arctan2(matrix[1, 0], matrix[0, 0])
    return Pose(*np.rad2deg([yaw, pitch, roll]).tolist())


def _parallel_view(points: np.ndarray) -> tuple[float, np.ndarray]:
    """Fit scale (pixels to a millimetre) and rotation under parallel projection: the start for the refinement.

    Nothing can be seen mirrored here because the face is far from flat, so the start decides against false solutions.
    """
    affine = np.linalg.lstsq(FACE - FACE.mean(axis=0), points, rcond=None)[0].T
    left, gains, right = np.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    return float(gains.mean()), np.vstack([rows, np.cross(rows[0], rows[1])])
