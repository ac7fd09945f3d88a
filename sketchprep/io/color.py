"""ICC profiles to sRGB, and alpha compositing: over white, or over the ground that shows the ink of a drawing."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["convert_profile", "is_srgb", "over", "visible_ink"]

# Ink from this level up is lost on white; so much of what is opaque may be darker, and of the page be opaque.
_LIGHT, _DARKER_SHARE, _OPAQUE_SHARE = 160, 0.002, 0.5


def convert_profile(picture: np.ndarray | Image.Image, icc: bytes) -> np.ndarray:
    """Convert from a colour profile to sRGB.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W, 3) or (H, W), or PIL.Image.Image of mode L, RGB or CMYK
    icc : bytes
        The embedded profile.  One that cannot be read, or is for another kind of picture, is ignored.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    from PIL import Image, ImageCms

    image = Image.fromarray(np.ascontiguousarray(picture)) if isinstance(picture, np.ndarray) else picture
    try:
        return np.array(ImageCms.applyTransform(image, _transform(icc, image.mode)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return np.array(image.convert("RGB"))


@lru_cache(maxsize=32)
def _transform(icc: bytes, mode: str) -> Any:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")


@lru_cache(maxsize=32)
def is_srgb(icc: bytes, mode: str) -> bool:
    """Tell whether a profile moves no colour by more than two levels.

    Its name is not asked: names lie, and there are a dozen profiles for sRGB.

    Parameters
    ----------
    icc : bytes
        The profile.
    mode : str
        ``"L"`` for a grey picture, else colours are tried.
    """
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    if mode == "L":
        ramp = np.arange(256, dtype=np.uint8)[None]
        return bool(np.abs(convert_profile(ramp, icc).astype(np.int16) - ramp[:, :, None]).max() <= 2)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(6, 36, 3)
    return bool(np.abs(convert_profile(colours, icc).astype(np.int16) - colours).max() <= 2)


def over(photo: np.ndarray, alpha: np.ndarray, *, ground: int = 255) -> np.ndarray:
    """Compose over one grey level.

    Parameters
    ----------
    photo : ndarray of uint8, shape (H, W, 3)
    alpha : ndarray of uint8, shape (H, W)
        255 is opaque.
    ground : int
        0 (black) to 255 (white).

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    result = np.empty_like(photo)
    for row in range(len(photo)):  # floating point of a whole large picture would take gigabytes, and is slower
        weight = alpha[row, :, None].astype(np.float32) / 255
        result[row] = np.rint(ground - (ground - photo[row].astype(np.float32)) * weight)
    return result


def visible_ink(on_white: np.ndarray, on_black: np.ndarray) -> np.ndarray:
    """Choose the ground on which a drawing's ink is seen: white, or black where white would swallow its light ink.

    Parameters
    ----------
    on_white, on_black : ndarray of uint8, shape (H, W, 3)
        The drawing composed over both.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        One of the two.

    Notes
    -----
    A sheet cut out of its surroundings is light too, but it covers most of the page or has dark ink on it.
    """
    alpha = 255 - (on_white[..., 1] - on_black[..., 1])
    seen = alpha > alpha.max() // 2
    if not seen.any() or seen.mean() > _OPAQUE_SHARE:
        return on_white
    luma = (on_black[seen] @ np.array([0.299, 0.587, 0.114])) * (255 / alpha[seen])
    return on_white if (luma < _LIGHT).mean() > _DARKER_SHARE else on_black
