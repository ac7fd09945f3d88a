"""Canny edge detector."""

from typing import Annotated

import cv2
import numpy as np

from sketchprep.ops._validation import Range, check_image, checked


@checked
def canny(
    image: np.ndarray,
    *,
    low: Annotated[float, Range(0, at_most="high")] = 100.0,
    high: Annotated[float, Range(0)] = 200.0,
    blur: Annotated[float, Range(0, 100)] = 0.0,
) -> np.ndarray:
    """Draw the Canny edges of a picture.

    Parameters
    ----------
    image : ndarray, (H, W, 3) or (H, W) uint8
        RGB or grey.
    low, high : float, at least 0
        Hysteresis thresholds on the L1 norm of the 3x3 Sobel gradient of the luminance; ``low`` may not exceed
        ``high``.
    blur : float, 0 to 100
        Standard deviation in pixels of a Gaussian applied first; 0 for none.

    Returns
    -------
    ndarray, (H, W) uint8
        0 on edges, 255 elsewhere.

    Raises
    ------
    ValueError
        If a parameter or the image is outside what is stated above.

    References
    ----------
    J. Canny, "A computational approach to edge detection", IEEE TPAMI 8(6), 1986.
    """
    check_image(image)
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if blur > 0:
        grey = cv2.GaussianBlur(grey, (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
    return cv2.bitwise_not(cv2.Canny(np.ascontiguousarray(grey), low, high, apertureSize=3, L2gradient=False))
