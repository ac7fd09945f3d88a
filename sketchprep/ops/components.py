"""The part windows of DeepFaceDrawing, at any size of the frame."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PARTS", "Window", "windows"]

PARTS = ("left_eye", "right_eye", "nose", "mouth", "remainder")

# x, y, size in the 512-px frame, as in the released code of DeepFaceDrawing (its paper's text says 168 for the nose).
_WINDOWS_512 = {
    "left_eye": (108, 156, 128),
    "right_eye": (255, 156, 128),
    "nose": (182, 232, 160),
    "mouth": (169, 301, 192),
    "remainder": (0, 0, 512),
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
    if size <= 0 or size % 64:
        raise ValueError(f"size must be a positive multiple of 64, not {size}")
    return {
        part: Window(x * size // 512, y * size // 512, side * size // 512, side * size // 512)
        for part, (x, y, side) in _WINDOWS_512.items()
    }
