"""Windows of the face parts that DeepFaceDrawing and APDrawingGAN crop, at any frame size; crop and paste.

DeepFaceDrawing's squares are fixed or follow the landmarks; APDrawingGAN's rectangles follow the landmarks.  The
windows of Mask-Guided Portrait Editing follow a label map and live in `sketchprep.ops.helen_labels`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sketchprep.ops import align

__all__ = [
    "APDRAWING_PARTS",
    "PARTS",
    "Window",
    "apdrawing_windows",
    "centred",
    "crop",
    "landmark_windows",
    "outside",
    "paste",
    "remainder",
    "windows",
]

PARTS = ("left_eye", "right_eye", "nose", "mouth", "remainder")
APDRAWING_PARTS = ("left_eye", "right_eye", "nose", "mouth")

# x, y, size in the 512-px frame, as in the released code of DeepFaceDrawing (its paper's text says 168 for the nose).
_WINDOWS_512 = {
    "left_eye": (108, 156, 128),
    "right_eye": (255, 156, 128),
    "nose": (182, 232, 160),
    "mouth": (169, 301, 192),
    "remainder": (0, 0, 512),
}

# Where eyes, nose tip and the middle of the mouth corners lie in the 512-px FFHQ frame: medians over 443 CelebA-HQ
# photos, made symmetric.  A face with these landmarks gets the fixed windows.
_USUAL_512 = {"left_eye": (193, 247), "right_eye": (319, 247), "nose": (256, 320), "mouth": (256, 378)}

# Width, height at 512 px, and how far the centre lies below its landmark.
_APDRAWING_512 = {
    "left_eye": (112, 80, -8),
    "right_eye": (112, 80, -8),
    "nose": (96, 96, -16),
    "mouth": (128, 80, 0),
}


class Window(NamedTuple):
    """A rectangle in the frame: left, top, width and height in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices for indexing an image."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def inside(self, size: int) -> Window:
        """Return the window moved, not cut, so that it lies in a frame of `size` × `size` pixels."""
        x = min(max(self.x, 0), size - self.width)
        y = min(max(self.y, 0), size - self.height)
        return Window(x, y, self.width, self.height)


def check_size(size: int) -> None:
    """Raise ValueError unless every window scales to a whole number of pixels."""
    if size <= 0 or size % 64:
        raise ValueError(f"size must be a positive multiple of 64, not {size}")


def windows(size: int = 512) -> dict[str, Window]:
    """Return the five fixed windows of DeepFaceDrawing (Chen et al. 2020) in a frame of `size` × `size` pixels.

    Sizes scale exactly, positions are ``floor(v * size / 512)``.

    Parameters
    ----------
    size : int
        A multiple of 64, so that every window scales to a whole number of pixels.

    Returns
    -------
    dict of str to Window
        In the order of `PARTS`; ``left_eye`` is left in the image.

    Raises
    ------
    ValueError
        If `size` is not a positive multiple of 64.

    Examples
    --------
    >>> windows(256)["nose"]
    Window(x=91, y=116, width=80, height=80)
    """
    check_size(size)
    return {
        part: Window(x * size // 512, y * size // 512, side * size // 512, side * size // 512)
        for part, (x, y, side) in _WINDOWS_512.items()
    }


def landmark_windows(landmarks: np.ndarray, *, size: int = 512) -> dict[str, Window]:
    """Return DeepFaceDrawing's windows, moved to where a face's own parts are.

    Each window keeps its size and its place relative to its landmark (the eye's middle, the nose tip, the middle of
    the mouth's corners) as in a usual face of the FFHQ frame; a face with the usual landmarks gets `windows`.

    Parameters
    ----------
    landmarks : ndarray of float, shape (68, 2) or (5, 2)
        (x, y) in pixels of the frame; five points in the order of `align.five_points`.
    size : int
        Height and width of the frame, a multiple of 64.

    Returns
    -------
    dict of str to Window
        In the order of `PARTS`.  A window that would leave the frame is moved to its border.

    Raises
    ------
    ValueError
        For another shape or size.
    """
    anchors = _anchors(landmarks)
    moved = {}
    for part, window in windows(size).items():
        if part in anchors:
            dx, dy = np.rint(anchors[part] - ((np.array(_USUAL_512[part]) + 0.5) * (size / 512) - 0.5)).astype(int)
            window = Window(window.x + int(dx), window.y + int(dy), window.width, window.height).inside(size)
        moved[part] = window
    return moved


def apdrawing_windows(landmarks: np.ndarray, *, size: int = 512) -> dict[str, Window]:
    """Return the four rectangles of APDrawingGAN (Yi et al. 2019), centred by five landmarks.

    At 512 px (width × height): eyes 112 × 80, their centre 8 above the landmark; nose 96 × 96, its centre 16 above the
    tip; mouth 128 × 80 around the middle of its corners.

    Parameters
    ----------
    landmarks : ndarray of float, shape (68, 2) or (5, 2)
        (x, y) in pixels of the frame; rounded to whole pixels, as the landmark files hold them.
    size : int
        Height and width of the frame, a multiple of 64.

    Returns
    -------
    dict of str to Window
        In the order of `APDRAWING_PARTS`.  A window that would leave the frame is moved to its border; the original
        fails there.

    Raises
    ------
    ValueError
        For another shape or size.
    """
    check_size(size)
    anchors = _anchors(np.rint(_five(landmarks)))
    moved = {}
    for part, (width, height, below) in _APDRAWING_512.items():
        x, y = (int(v) for v in anchors[part])
        moved[part] = centred((x, y + below * size // 512), (width * size // 512, height * size // 512), size=size)
    return moved


def centred(centre: tuple[int, int], extent: tuple[int, int], *, size: int) -> Window:
    """Return the window of `extent` (width, height) around `centre` (x, y), moved inside the frame if need be."""
    (x, y), (width, height) = centre, extent
    return Window(x - width // 2, y - height // 2, width, height).inside(size)


def _anchors(landmarks: np.ndarray) -> dict[str, np.ndarray]:
    left, right, nose, corner_left, corner_right = _five(landmarks)
    return {"left_eye": left, "right_eye": right, "nose": nose, "mouth": (corner_left + corner_right) / 2}


def _five(landmarks: np.ndarray) -> np.ndarray:
    points = np.asarray(landmarks, np.float64)
    return points if points.shape == (5, 2) else align.five_points(points)


def crop(image: np.ndarray, window: Window) -> np.ndarray:
    """Return a copy of what a window shows.

    Parameters
    ----------
    image : ndarray, shape (H, W) or (H, W, C)
    window : Window
        Inside the image.

    Returns
    -------
    ndarray, shape (window.height, window.width) or (window.height, window.width, C)

    Raises
    ------
    ValueError
        If the window leaves the image.
    """
    _check_inside(image, window)
    return image[window.slices].copy()


def paste(image: np.ndarray, patch: np.ndarray, window: Window) -> np.ndarray:
    """Return a copy of an image with `patch` in the window.

    Raises
    ------
    ValueError
        If the window leaves the image or the patch has another size than the window.
    """
    _check_inside(image, window)
    if patch.shape[:2] != (window.height, window.width):
        raise ValueError(f"the patch is {patch.shape[1]}×{patch.shape[0]}, the window {window.width}×{window.height}")
    result = image.copy()
    result[window.slices] = patch
    return result


def remainder(image: np.ndarray, cut: Iterable[Window]) -> np.ndarray:
    """Return a copy of an image with the given windows painted white (255): DeepFaceDrawing's fifth part."""
    result = image.copy()
    for window in cut:
        result[window.slices] = 255
    return result


def outside(shape: tuple[int, ...], cut: Iterable[Window]) -> np.ndarray:
    """Return a boolean array of shape (H, W), False inside the given windows."""
    kept = np.ones(shape[:2], bool)
    for window in cut:
        kept[window.slices] = False
    return kept


def _check_inside(image: np.ndarray, window: Window) -> None:
    height, width = image.shape[:2]
    if window.x < 0 or window.y < 0 or window.x + window.width > width or window.y + window.height > height:
        raise ValueError(f"{window} leaves the image of {width}×{height}")
