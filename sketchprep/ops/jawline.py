"""Draw the jaw through its landmarks: photos often show no edge there, drawings always have the line."""

from typing import Annotated

import cv2
import numpy as np

from sketchprep.ops._validation import Range, check_landmarks, check_sketch, checked
from sketchprep.ops.visible_features import unseen_features

_JAW = slice(0, 17)
_STEPS = 12
_SHIFT = 4


@checked
def jawline(
    image: np.ndarray,
    *,
    landmarks: np.ndarray,
    width: Annotated[float, Range(0, 100, above=True)] = 2.0,
    photo: np.ndarray | None = None,
) -> np.ndarray:
    """Draw a smooth black line through landmarks 0 to 16 of a face.

    Parameters
    ----------
    image : ndarray, (H, W) uint8
        Grey sketch, black ink on white.
    landmarks : ndarray, (68, 2) float
        x and y in pixels, in the 68-point order of iBUG 300-W; points may lie outside the picture.
    width : float, above 0, at most 100
        Width of the line in pixels.
    photo : ndarray, (H, W, 3) uint8, optional
        The photo that was drawn: where it shows no jaw at all, as in darkness, none is drawn either; see
        `sketchprep.ops.visible_features`.

    Returns
    -------
    ndarray, (H, W) uint8
        The sketch with the line; ink only gets darker.

    Raises
    ------
    ValueError
        If a parameter or the image is outside what is stated above.

    Notes
    -----
    A centripetal Catmull-Rom spline runs through the points; it is drawn at 1/16 pixel on a canvas four times as
    fine, along its bounding box only, and averaged down.
    """
    check_sketch(image)
    result, points = image.copy(), check_landmarks(landmarks)
    if photo is None or "jaw" not in unseen_features(photo, points):
        draw_curve(result, catmull_rom(points[_JAW]), width)
    return result


def draw_curve(sketch: np.ndarray, curve: np.ndarray, width: float) -> None:
    """Ink a polyline of (x, y) points into a grey sketch, in place and antialiased; ink only gets darker."""
    margin = int(np.ceil(width)) + 2
    height, span = sketch.shape
    left, top = np.clip(np.floor(curve.min(0)).astype(int) - margin, 0, [span, height])
    right, bottom = np.clip(np.ceil(curve.max(0)).astype(int) + margin + 1, 0, [span, height])
    if right <= left or bottom <= top:
        return
    window = sketch[top:bottom, left:right]
    window[:] = np.minimum(window, 255 - _stroke(curve - [left, top], width, window.shape))


def _stroke(curve: np.ndarray, width: float, shape: tuple[int, int], scale: int = 4) -> np.ndarray:
    """Coverage, 0 to 255, of a polyline of the given width; (x, y) = (0, 0) is the centre of the first pixel."""
    canvas = np.zeros((shape[0] * scale, shape[1] * scale), np.uint8)
    fine = (curve + 0.5) * scale - 0.5
    points = np.rint(fine * (1 << _SHIFT)).astype(np.int32)
    thickness = max(1, round(width * scale))
    cv2.polylines(canvas, [points.reshape(-1, 1, 2)], False, 255, thickness, cv2.LINE_8, _SHIFT)
    return cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_AREA)


def catmull_rom(points: np.ndarray, *, steps: int = _STEPS) -> np.ndarray:
    """Centripetal Catmull-Rom spline through ``points``: ((N - 1) * steps + 1, 2) float64, every point among them.

    References
    ----------
    C. Yuksel, S. Schaefer, J. Keyser, "Parameterization and applications of Catmull-Rom curves", CAD 43(7), 2011.
    """
    points = np.asarray(points, np.float64)
    padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    # Coincident points would divide by zero; a knot step this small still passes through both.
    knots = np.concatenate([[0.0], np.cumsum(np.maximum(np.linalg.norm(np.diff(padded, axis=0), axis=1) ** 0.5, 1e-3))])
    pieces = []
    for i in range(len(points) - 1):
        p0, p1, p2, p3 = padded[i : i + 4]
        t0, t1, t2, t3 = knots[i : i + 4]
        t = np.linspace(t1, t2, steps, endpoint=False)[:, None]
        a1 = ((t1 - t) * p0 + (t - t0) * p1) / (t1 - t0)
        a2 = ((t2 - t) * p1 + (t - t1) * p2) / (t2 - t1)
        a3 = ((t3 - t) * p2 + (t - t2) * p3) / (t3 - t2)
        b1 = ((t2 - t) * a1 + (t - t0) * a2) / (t2 - t0)
        b2 = ((t3 - t) * a2 + (t - t1) * a3) / (t3 - t1)
        pieces.append(((t2 - t) * b1 + (t - t1) * b2) / (t2 - t1))
    return np.concatenate([*pieces, points[-1:]])
