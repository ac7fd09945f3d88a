"""Two-tone portrait: refined lines over blocks of black, after Rosin and Lai."""

import cv2
import numpy as np

from sketchprep.ops import flow
from sketchprep.ops._checks import check_image, check_range
from sketchprep.ops._components import drop_small, hysteresis
from sketchprep.ops.lines import luminance

_RHO = 0.99


def two_tone(
    image: np.ndarray,
    *,
    sigma_line: float = 1.2,
    low: float = 0.006,
    high: float = 0.02,
    min_length: float = 16.0,
    tone_sigma: float = 4.0,
    tone_area: float = 400.0,
    darkness: float = 0.75,
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
    if max(image.shape[:2]) > flow.MAX_SIDE:
        raise ValueError(f"image must have no side above {flow.MAX_SIDE} px, not {image.shape[0]}x{image.shape[1]}")
    check_range("sigma_line", sigma_line, 0.3, 20)
    check_range("low", low, 0, 1)
    check_range("high", high, 0, 1)
    check_range("min_length", min_length, 0)
    check_range("tone_sigma", tone_sigma, 0.3, 100)
    check_range("tone_area", tone_area, 0)
    check_range("darkness", darkness, 0)
    if low > high:
        raise ValueError(f"low must not exceed high, but low is {low} and high is {high}")
    plane = luminance(image)
    field = flow.edge_tangent_flow(plane)
    dark_lines, light_lines = (
        _refined(p, field, sigma_line, low, high, min_length) for p in (plane, np.float32(1.0) - plane)
    )
    blocks = _blocks(plane, tone_sigma, tone_area, darkness)
    ink = dark_lines | (blocks & ~light_lines)
    return np.where(ink, 0, 255).astype(np.uint8)


def _refined(
    plane: np.ndarray, field: np.ndarray, sigma: float, low: float, high: float, min_length: float
) -> np.ndarray:
    """Mask of the dark lines that pass hysteresis and are long enough."""
    depth = -flow.flow_dog(plane, field, sigma_line=sigma, sigma_flow=3.0 * sigma, rho=_RHO)
    return hysteresis(depth > low, depth > high, min_length=min_length)


def _blocks(plane: np.ndarray, sigma: float, area: float, darkness: float) -> np.ndarray:
    """Mask of the dark areas of the smoothed picture."""
    smooth = cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    limit = lower_otsu(smooth) * darkness
    blocks = drop_small(smooth < limit, min_area=area)
    return ~drop_small(~blocks, min_area=area)


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
