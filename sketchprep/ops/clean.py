"""Classical clean-up of a photocopy to thin, joined lines on white, without a network."""

from typing import Annotated

import cv2
import numpy as np

from sketchprep.ops import edge_flow
from sketchprep.ops._validation import Range, check_landmarks, check_sketch, checked
from sketchprep.ops.connected_components import hysteresis

_RHO = 0.99
_FEATURES = (range(17, 22), range(22, 27), range(27, 36), range(36, 42), range(42, 48), range(48, 68))
_GENTLE = 0.4
_REACH = 0.12


@checked
def clean(
    image: np.ndarray,
    *,
    line: Annotated[float, Range(0.5, 10)] = 1.1,
    low: Annotated[float, Range(0, 1, at_most="high")] = 0.006,
    high: Annotated[float, Range(0, 1)] = 0.02,
    min_length: Annotated[float, Range(0)] = 18.0,
    landmarks: np.ndarray | None = None,
) -> np.ndarray:
    """Turn a photocopy into a cleaner line drawing.

    Parameters
    ----------
    image : ndarray, (H, W) uint8
        Grey photocopy, black ink on white; no side longer than 32766 px.
    line : float, 0.5 to 10
        Standard deviation in pixels of the line detector; lines come out about twice as wide.
    low, high : float, 0 to 1
        A line is drawn where it is deeper than ``low`` (1 = white), if it is deeper than ``high`` somewhere.
    min_length : float, at least 0
        What is shorter and narrower than this many pixels goes.
    landmarks : ndarray, (68, 2) float, optional
        x and y in pixels.  Around brows, eyes, nose and mouth the thresholds are then less than half as high and
        nothing is too short, so that no eye gets lost.

    Returns
    -------
    ndarray, (H, W) uint8
        Black ink on white.

    Raises
    ------
    ValueError
        If a parameter or the image is outside what is stated above.

    Notes
    -----
    A difference of Gaussians steered by the structure tensor answers to lines and to the edges of black areas, which
    hollows these out; hysteresis and a length filter choose what stays.  This is no simplification as a network
    learns it: it never merges several strokes into one.  Borders are continued.

    References
    ----------
    H. Kang, S. Lee, C. K. Chui, "Coherent line drawing", NPAR 2007.
    """
    check_sketch(image)
    if max(image.shape) > edge_flow.MAX_SIDE:
        raise ValueError(
            f"image must have no side above {edge_flow.MAX_SIDE} px, not {image.shape[0]}x{image.shape[1]}"
        )
    plane = image.astype(np.float32) * np.float32(1 / 255)
    field = edge_flow.tensor_flow(plane, sigma=1.6 * line)
    depth = -edge_flow.flow_dog(plane, field, sigma_line=line, sigma_flow=2.0 * line, rho=_RHO)
    features = None
    if landmarks is not None:
        features = feature_mask(check_landmarks(landmarks), image.shape)
        depth[features] *= np.float32(1 / _GENTLE)
    kept = hysteresis(depth > low, depth > high, min_length=min_length, keep=features)
    return draw_kept(depth, kept, low, high)


def draw_kept(depth: np.ndarray, kept: np.ndarray, low: float, high: float) -> np.ndarray:
    """Ink where ``kept``: black from ``high`` on, white below half of ``low``; its rim stays soft.  (H, W) uint8.

    Parameters
    ----------
    depth : ndarray, (H, W) float32
        How deep or dark a line is.
    kept : ndarray, (H, W) bool
    low, high : float
        The thresholds that chose ``kept``.
    """
    rim = cv2.dilate(kept.view(np.uint8), np.ones((3, 3), np.uint8))
    floor = 0.5 * low
    ink = (depth - floor) * np.float32(255.0 / max(high - floor, 1e-6))
    return 255 - np.where(rim > 0, np.clip(ink, 0, 255), 0).astype(np.uint8)


def feature_mask(landmarks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Hulls of brows, eyes, nose and mouth, widened by about a third of an eye; (H, W) bool.

    Parameters
    ----------
    landmarks : ndarray, (68, 2) float
    shape : tuple of int
        H, W.
    """
    mask = np.zeros(shape, np.uint8)
    for part in _FEATURES:
        hull = cv2.convexHull(np.rint(np.clip(landmarks[list(part)], -30000, 30000)).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, 1)
    between_eyes = float(np.linalg.norm(landmarks[36:42].mean(0) - landmarks[42:48].mean(0)))
    reach = int(np.clip(_REACH * between_eyes, 1, 64))
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))) > 0
