"""GEGL's Gaussian blur: the Young-van Vliet recursion, evaluated as a short convolution.

The recursion itself is serial along every line; its impulse response is symmetric and dies off within a few standard
deviations, so a separable convolution with that response gives the same numbers and runs at the speed of OpenCV.
"""

import math
from functools import lru_cache

import cv2
import numpy as np

RECURSIVE_FROM = 1.0
"""Standard deviation (px) from which GEGL uses the recursion; below, a Gaussian cut at 6.5 deviations in all."""

MARGIN = 3
"""Samples by which :func:`blur` wants a plane continued at its right and bottom."""

_TAIL = 1e-5
_STRIP = 128
_IDENTITY = np.ones(1, np.float32)


def blur(plane: np.ndarray, *, sd: float, out: np.ndarray, scratch: np.ndarray) -> np.ndarray:
    """Blur a plane as GEGL does, end conditions included.

    Parameters
    ----------
    plane : ndarray, (H + 3, W + 3) float32
        Any range; the last :data:`MARGIN` columns and rows repeat the picture's border.  Not changed.
    sd : float
        Standard deviation in pixels, above 0.
    out, scratch : ndarray, (H + 3, W + 3) float32
        Contiguous, overwritten; a fresh plane costs more in page faults than a blur in arithmetic.

    Returns
    -------
    ndarray, (H, W) float32
        The part of ``out`` that holds the blurred picture.

    Notes
    -----
    Left and top continue the border value for ever.  At the right and bottom GEGL starts its backward pass with the
    values of Triggs and Sdika one sample late, which is visible in the last few columns and rows; that is reproduced,
    so the result does not commute with mirroring there.

    References
    ----------
    I. T. Young, L. J. van Vliet, "Recursive implementation of the Gaussian filter", Signal Processing 44, 1995.
    B. Triggs, M. Sdika, "Boundary conditions for Young-van Vliet recursive filtering", IEEE TSP 54(6), 2006.
    """
    if sd < RECURSIVE_FROM:
        length = math.ceil(6.5 * sd) // 2 * 2 + 1
        _separable(plane, cv2.getGaussianKernel(length, sd, cv2.CV_32F), out, scratch)
    else:
        kernel, correction = _kernels(sd)
        _separable(plane, kernel, out, scratch)
        _late_start(out, correction)
        _late_start(out.T, correction)
    return out[:-MARGIN, :-MARGIN]


def response(sd: float) -> np.ndarray:
    """Kernel whose separable convolution equals `blur` away from the right and bottom border, (2 R + 1,) float32."""
    if sd < RECURSIVE_FROM:
        return cv2.getGaussianKernel(math.ceil(6.5 * sd) // 2 * 2 + 1, sd, cv2.CV_32F).ravel()
    return _kernels(sd)[0]


def _separable(plane: np.ndarray, kernel: np.ndarray, out: np.ndarray, scratch: np.ndarray) -> None:
    """Convolve columns, transpose, and once more: OpenCV filters columns almost twice as fast as rows."""
    turned = scratch.reshape(plane.shape[::-1])
    _columns(plane, kernel, turned)
    _columns(turned, kernel, out)


def _columns(plane: np.ndarray, kernel: np.ndarray, turned: np.ndarray) -> None:
    """Convolve the columns into the rows of ``turned``, in strips that stay in the nearer caches."""
    for x in range(0, plane.shape[1], _STRIP):
        strip = plane[:, x : x + _STRIP]
        strip = cv2.sepFilter2D(strip, -1, _IDENTITY, kernel, borderType=cv2.BORDER_REPLICATE)
        cv2.transpose(strip, dst=turned[x : x + _STRIP])


def _late_start(lines: np.ndarray, correction: np.ndarray) -> None:
    """Add, in place, what a backward pass begun one sample late leaves in the last samples of every line.

    ``lines`` holds the exact blur, continued :data:`MARGIN` samples past the end of every line.
    """
    length = lines.shape[1] - MARGIN
    step = lines[:, length - 1 : -1] - lines[:, length:]
    reach = min(length, correction.shape[1])
    lines[:, length - reach : length] += step @ correction[:, correction.shape[1] - reach :]


def _coefficients(sd: float) -> tuple[float, np.ndarray]:
    """Gain and the three feedback weights of the recursion (Young and van Vliet 1995, eqs. 8c and 11)."""
    q = 0.98711 * sd - 0.96330 if sd >= 2.5 else 3.97156 - 4.14554 * np.sqrt(1 - 0.26891 * sd)
    b0 = 1.57825 + 2.44413 * q + 1.4281 * q**2 + 0.422205 * q**3
    b1 = 2.44413 * q + 2.85619 * q**2 + 1.26661 * q**3
    b2 = -(1.4281 * q**2 + 1.26661 * q**3)
    b3 = 0.422205 * q**3
    feedback = np.array([b1, b2, b3]) / b0
    return float(1 - feedback.sum()), feedback


@lru_cache(maxsize=64)
def _kernels(sd: float) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric impulse response (2 R + 1,) and the (3, R + 1) weights of :func:`_late_start`, both float32."""
    gain, feedback = _coefficients(sd)
    length = int(20 * sd) + 40
    # Column j: the free decay of the recursion from a unit value j samples before its start.
    decay = np.zeros((length + 3, 3))
    decay[:3] = np.eye(3)[::-1]
    for i in range(3, length + 3):
        decay[i] = feedback @ decay[i - 3 : i][::-1]
    causal = gain * decay[2:-1, 0]
    full = np.correlate(causal, causal, "full")
    half = full[length - 1 :]
    mass = 2 * np.cumsum(np.abs(half[::-1]))[::-1]
    radius = max(1, int(np.argmax(mass < _TAIL)) - 1)
    kernel = full[length - 1 - radius : length + radius]
    correction = decay[3 : radius + 4][::-1].T
    return (kernel / kernel.sum()).astype(np.float32), np.ascontiguousarray(correction, np.float32)
