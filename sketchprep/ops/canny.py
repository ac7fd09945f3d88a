"""Canny edge detector."""

import cv2
import numpy as np

from sketchprep.ops._validation import check_image, check_range


def canny(image: np.ndarray, *, low: float = 100.0, high: float = 200.0, blur: float = 0.0) -> np.ndarray:
    """Draw the Canny edges of a picture.

    Parameters
    ----------
    image : ndarray, (H, W, 3) or (H, W) uint8
        RGB or grey.
    low, high : float, at least 0
        Hysteresis thresholds on the L1 norm of the 3x3 Sobel gradient of the luminance; ``low`` may not exceed
        ``high``.
    blur : float, at least 0
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
    check_range("low", low, 0)
    check_range("high", high, 0)
    check_range("blur", blur, 0, 100)
    if low > high:
        raise ValueError(f"low must not exceed high, but low is {low} and high is {high}")
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if blur > 0:
        grey = cv2.GaussianBlur(grey, (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
    return cv2.bitwise_not(cv2.Canny(np.ascontiguousarray(grey), low, high, apertureSize=3, L2gradient=False))
