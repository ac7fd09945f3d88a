"""Pictures as users have them, path, PIL image, array or tensor, single or in batches, as uint8 arrays.

Ranges: **integers are uint8, 0 (black) to 255 (white); floating point goes from 0 to 1**.  Axes: **NumPy arrays are
(H, W, C), PyTorch tensors (C, H, W)**, grey ones (H, W) too; a batch is one more axis in front, or a list.  What breaks
these rules is refused, never guessed at.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.io import files, images
from sketchprep.io.color import visible_ink
from sketchprep.io.pillow_decoder import to_srgb

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image
    from torch import Tensor

__all__ = ["Picture", "as_image", "as_images", "is_batch"]

Picture = Union[str, "Path", "Image", np.ndarray, "Tensor"]

# Resampling and half precision leave the range by this much; it is clipped.
_TOLERANCE = 1e-3


def as_image(picture: Picture, *, name: str = "image", drawing: bool = False) -> np.ndarray:
    """Read one picture.

    Parameters
    ----------
    picture : str, Path, PIL.Image.Image, ndarray or Tensor
        A path is decoded upright and in sRGB.  A PIL image is turned upright, composed over white where it is
        transparent, and brought from its colour profile to sRGB.  An array has shape (H, W, 3), (H, W, 1) or (H, W),
        a tensor (3, H, W), (1, H, W) or (H, W); uint8 from 0 to 255, or floating point from 0 to 1.
    name : str
        What to call it in a message.
    drawing : bool
        Whether it may be one: light ink on a transparent page is then composed over black.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3) or (H, W)
        RGB, or grey where the picture is grey.

    Raises
    ------
    UserError
        For a file that cannot be read, another type, shape or range; one sentence that says which.
    """
    if isinstance(picture, str | os.PathLike):
        return _from_file(os.fspath(picture), name, drawing)
    if _is_pil(picture):
        return _from_pil(picture, name, drawing)  # type: ignore[arg-type]
    array = _channels_last(picture, name)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)) or array.size == 0:
        axes = "(3, H, W), (1, H, W)" if _is_tensor(picture) else "(H, W, 3), (H, W, 1)"
        raise UserError(
            f"{name}: a picture has the shape {axes} or (H, W), not {tuple(np.shape(picture))}"  # type: ignore[arg-type]
        )
    return np.ascontiguousarray(_as_uint8(array, name))


def as_images(pictures: Any, *, name: str = "images") -> list[np.ndarray]:
    """Read a batch: a list or tuple of pictures, or an array or tensor with an axis in front; see `as_image`.

    Returns
    -------
    list of ndarray of uint8, shape (H, W, 3) or (H, W)

    Raises
    ------
    UserError
        As `as_image`, naming the first picture that breaks a rule, for instance ``images[3]``.
    """
    return [as_image(picture, name=f"{name}[{index}]") for index, picture in enumerate(pictures)]


def is_batch(pictures: Any) -> bool:
    """Whether these are several pictures: a list, a tuple, or an array or tensor of four axes."""
    return isinstance(pictures, list | tuple) or (
        (isinstance(pictures, np.ndarray) or _is_tensor(pictures)) and pictures.ndim == 4
    )


def _from_file(path: str, name: str, drawing: bool) -> np.ndarray:
    try:
        data = files.read(files.expanded(path))
        if drawing:
            return images.decode_drawing(data)
        grey = images.probe(data).mode in ("1", "L")
        return images.decode_gray(data) if grey else images.decode(data)
    except SampleError as error:
        raise UserError(f"{name} {path}: {error.message}") from None


def _from_pil(image: Image, name: str, drawing: bool) -> np.ndarray:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("1", "L"):
        return np.array(upright.convert("L"))
    try:
        icc = upright.info.get("icc_profile")
        on_white = to_srgb(upright, icc)
        if drawing and upright.has_transparency_data:
            return visible_ink(on_white, to_srgb(upright, icc, ground=0))
        return on_white
    except SampleError as error:
        raise UserError(f"{name}: {error.message}") from None


def _channels_last(picture: Any, name: str) -> np.ndarray:
    if _is_tensor(picture):
        tensor = picture.detach().cpu()
        array: np.ndarray = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        return np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    if not isinstance(picture, np.ndarray):
        raise UserError(
            f"{name}: a picture is a path, a PIL image, a NumPy array or a PyTorch tensor, not {type(picture).__name__}"
        )
    return picture


def _as_uint8(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise UserError(f"{name}: has {array.dtype} values; give uint8 from 0 to 255, or floating point from 0 to 1")
    low, high = float(array.min()), float(array.max())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # NaN is not in the range either
        raise UserError(
            f"{name}: floating point pictures go from 0 (black) to 1 (white), this one from {low:.4g} to {high:.4g}; "
            f"{_remedy(low, high)}"
        )
    return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)


def _remedy(low: float, high: float) -> str:
    if low >= -1 - _TOLERANCE and high <= 1 + _TOLERANCE:
        return "give (x + 1) / 2 if -1 is black"
    if low >= 0 and high <= 255:
        return "divide it by 255, or give it as uint8"
    return "scale it to that range"


def _is_pil(picture: object) -> bool:
    return any(kind.__module__ == "PIL.Image" for kind in type(picture).__mro__)


def _is_tensor(picture: object) -> bool:
    """Whether it is a PyTorch tensor, without importing torch."""
    return type(picture).__module__.partition(".")[0] == "torch" and hasattr(picture, "detach")
