"""Coherent line drawing: flow-based difference of Gaussians along the edge tangent flow."""

from typing import Annotated

import cv2
import numpy as np

from sketchprep.ops import edge_flow
from sketchprep.ops._validation import Range, check_image, checked

FULL_INK = 0.025
"""Depth of a line, in 1 = white, at which its ink is about three quarters black."""


@checked
def lines(
    image: np.ndarray,
    *,
    sigma_line: Annotated[float, Range(0.3, 20)] = 1.0,
    sigma_flow: Annotated[float, Range(0, 50)] = 3.0,
    rho: Annotated[float, Range(0.5, 1)] = 0.99,
    flow_radius: Annotated[int, Range(1, 50)] = 5,
    flow_iterations: Annotated[int, Range(0, 20)] = 2,
    iterations: Annotated[int, Range(1, 10)] = 1,
    threshold: Annotated[float | None, Range(0, 1)] = None,
) -> np.ndarray:
    """Draw coherent lines: edge tangent flow and flow-based difference of Gaussians.

    Parameters
    ----------
    image : ndarray, (H, W, 3) or (H, W) uint8
        RGB or grey; no side longer than 32766 px.
    sigma_line : float, 0.3 to 20
        Standard deviation in pixels of the inner Gaussian; lines come out about twice as wide.
    sigma_flow : float, 0 to 50
        Standard deviation in pixels of the average along a line; larger joins more.
    rho : float, 0.5 to 1
        Weight of the outer Gaussian; nearer 1 draws fainter lines, and noise.
    flow_radius : int, 1 to 50
        Reach in pixels of the smoothing of the flow.
    flow_iterations : int, 0 to 20
        How often the flow is smoothed.
    iterations : int, 1 to 10
        From the second on, the lines so far are laid over the picture, blurred 3x3 and found again, which joins them.
    threshold : float, 0 to 1, optional
        None gives soft grey lines; a number gives pure black where the tone is darker than it, white elsewhere.

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
    The response H is measured on the luminance in 0 to 1; the tone is 1 where H > 0 and 1 + tanh(H / 0.025) elsewhere,
    a fixed scale rather than the span of the picture, so that an empty picture gives blank paper.  Borders are
    continued.

    References
    ----------
    H. Kang, S. Lee, C. K. Chui, "Coherent line drawing", NPAR 2007.
    """
    check_image(image)
    if max(image.shape[:2]) > edge_flow.MAX_SIDE:
        raise ValueError(
            f"image must have no side above {edge_flow.MAX_SIDE} px, not {image.shape[0]}x{image.shape[1]}"
        )
    plane = luminance(image)
    field = edge_flow.edge_tangent_flow(plane, radius=flow_radius, iterations=flow_iterations)
    tone = np.ones_like(plane)
    for round_ in range(iterations):
        if round_:
            plane = cv2.blur(np.minimum(plane, tone), (3, 3), borderType=cv2.BORDER_REPLICATE)
        response = edge_flow.flow_dog(plane, field, sigma_line=sigma_line, sigma_flow=sigma_flow, rho=rho)
        tone = ink_tone(response)
    if threshold is not None:
        return np.where(tone < threshold, 0, 255).astype(np.uint8)
    return np.rint(255.0 * tone).astype(np.uint8)


def luminance(image: np.ndarray) -> np.ndarray:
    """Luminance of the sRGB values (Rec. 601 weights), 0 to 1, (H, W) float32."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return grey.astype(np.float32) * np.float32(1 / 255)


def ink_tone(response: np.ndarray) -> np.ndarray:
    """Tone, 0 black to 1 white, of a response of :func:`sketchprep.ops.edge_flow.flow_dog`."""
    return 1.0 + np.tanh(np.minimum(response, 0.0) * np.float32(1.0 / FULL_INK))
