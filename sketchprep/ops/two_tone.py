"""Two-tone portrait: refined lines over blocks of black, after Rosin and Lai."""

from typing import Annotated

import cv2
import numpy as np

from sketchprep.ops import edge_flow
from sketchprep.ops._validation import Range, check_image, check_landmarks, checked
from sketchprep.ops.connected_components import drop_small, hysteresis
from sketchprep.ops.lines import luminance

_RHO = 0.99
# Share of the surroundings' tone below which a spot in the face is black: open mouths and pupils are, cheeks are not.
_CONTRAST = 0.6


@checked
def two_tone(
    image: np.ndarray,
    *,
    sigma_line: Annotated[float, Range(0.3, 20)] = 1.2,
    low: Annotated[float, Range(0, 1, at_most="high")] = 0.006,
    high: Annotated[float, Range(0, 1)] = 0.02,
    min_length: Annotated[float, Range(0)] = 16.0,
    tone_sigma: Annotated[float, Range(0.3, 100)] = 4.0,
    tone_area: Annotated[float, Range(0)] = 400.0,
    darkness: Annotated[float, Range(0)] = 0.75,
    landmarks: np.ndarray | None = None,
) -> np.ndarray:
    """Draw a picture in black and white: refined black lines, blocks of black, white lines on the blocks.

    Parameters
    ----------
    image : ndarray, (H, W, 3) or (H, W) uint8
        RGB or grey; no side longer than 32766 px.
    sigma_line : float, 0.3 to 20
        Standard deviation in pixels of the line detector; lines come out about twice as wide.
    low, high : float, 0 to 1
        A line is drawn where it is deeper than ``low`` (1 = white), if it is deeper than ``high`` somewhere.
    min_length : float, at least 0
        Lines shorter than this many pixels go.
    tone_sigma : float, 0.3 to 100
        Standard deviation in pixels of the smoothing before the blocks are cut.
    tone_area : float, at least 0
        Blocks, and holes in blocks, of fewer pixels go.
    darkness : float, at least 0
        Factor on the tone below which a block is black; 0 for no blocks.
    landmarks : ndarray, (68, 2), optional
        (x, y) in pixels.  Inside the face they outline, blocks are then cut by contrast to the surroundings, not by
        tone: a shadow or a dark skin does not become a black area that swallows eye and cheek.

    Returns
    -------
    ndarray, (H, W) uint8
        0 and 255 only.

    Raises
    ------
    ValueError
        If a parameter or the image is outside what is stated above.

    Notes
    -----
    The ingredients are those of the paper, their details approximations: its parameters and its graph cut are not
    reproduced.  Lines are flow-based differences of Gaussians with hysteresis and a length filter, white ones the
    same on the inverted picture, drawn inside the blocks only; blocks lie below the lower of the two thresholds of a
    three-class Otsu split of the smoothed luminance, then lose small parts and holes.  Borders are continued.

    References
    ----------
    P. L. Rosin, Y.-K. Lai, "Towards artistic minimal rendering", NPAR 2010.
    """
    check_image(image)
    if max(image.shape[:2]) > edge_flow.MAX_SIDE:
        raise ValueError(
            f"image must have no side above {edge_flow.MAX_SIDE} px, not {image.shape[0]}x{image.shape[1]}"
        )
    if landmarks is not None:
        check_landmarks(landmarks)
    plane = luminance(image)
    field = edge_flow.edge_tangent_flow(plane)
    dark_lines, light_lines = (
        _refined(p, field, sigma_line, low, high, min_length) for p in (plane, np.float32(1.0) - plane)
    )
    blocks = _blocks(plane, tone_sigma, tone_area, darkness, landmarks)
    ink = dark_lines | (blocks & ~light_lines)
    return np.where(ink, 0, 255).astype(np.uint8)


def _refined(
    plane: np.ndarray, field: np.ndarray, sigma: float, low: float, high: float, min_length: float
) -> np.ndarray:
    """Mask of the dark lines that pass hysteresis and are long enough."""
    depth = -edge_flow.flow_dog(plane, field, sigma_line=sigma, sigma_flow=3.0 * sigma, rho=_RHO)
    return hysteresis(depth > low, depth > high, min_length=min_length)


def _blocks(plane: np.ndarray, sigma: float, area: float, darkness: float, landmarks: np.ndarray | None) -> np.ndarray:
    """Mask of the dark areas of the smoothed picture."""
    smooth = cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    dark = smooth < lower_otsu(smooth) * darkness
    if landmarks is not None:
        face = _face_mask(landmarks, plane.shape)
        dark = np.where(face, _darker_than_around(smooth, face, landmarks, _CONTRAST * darkness / 0.75), dark)
    blocks = drop_small(dark, min_area=area)
    return ~drop_small(~blocks, min_area=area)


def _face_mask(landmarks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Inside of jaw and brows, without the outermost tenth: hair and background must not take part."""
    points = np.asarray(landmarks, np.float64)[:27]
    centre = points.mean(axis=0)
    hull = cv2.convexHull((centre + 0.94 * (points - centre)).astype(np.float32))
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 1)
    return mask.astype(bool)


def _darker_than_around(smooth: np.ndarray, face: np.ndarray, landmarks: np.ndarray, share: float) -> np.ndarray:
    """Where a face is darker than a share of its own mean over half an eye distance, counting the face alone."""
    points = np.asarray(landmarks, np.float64)
    apart = float(np.linalg.norm(points[42:48].mean(axis=0) - points[36:42].mean(axis=0)))
    sigma = max(apart / 4, 1.0)
    weight = face.astype(np.float32)
    total = cv2.GaussianBlur(smooth * weight, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    mass = cv2.GaussianBlur(weight, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    return smooth < share * total / np.maximum(mass, 1e-3)


def lower_otsu(plane: np.ndarray) -> float:
    """Lower threshold of the three-class Otsu split of a plane in 0 to 1; 0 if it has fewer than two tones."""
    levels = np.clip(np.rint(plane * 255.0), 0, 255).astype(np.uint8)
    counts = np.bincount(levels.ravel(), minlength=256).astype(np.float64)
    mass = np.concatenate([[0.0], np.cumsum(counts)])
    moment = np.concatenate([[0.0], np.cumsum(counts * np.arange(256))])
    if np.count_nonzero(counts) < 2:
        return 0.0
    i, j = np.triu_indices(257, k=1)
    share, first = mass[j] - mass[i], moment[j] - moment[i]
    score = np.full((257, 257), -np.inf)
    score[i, j] = np.where(share > 0, first**2 / np.maximum(share, 1.0), 0.0)
    # between[a, b]: classes [0, a), [a, b), [b, 256)
    between = score[0][:, None] + score + score[:, 256][None, :]
    a, _ = np.unravel_index(np.argmax(between[1:256, 1:256]), (255, 255))
    return float(a + 0.5) / 255.0
