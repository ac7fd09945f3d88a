"""Safetensors files of networks with a JSON header: written in half precision, shapes checked before any is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sketchprep.errors import UserError

if TYPE_CHECKING:
    from safetensors import safe_open

__all__ = ["LARGEST", "as_float32", "check_shapes", "load_frozen", "write"]

HALF = torch.finfo(torch.float16).max
LARGEST = 8192
"""Upper bound of every size in a header: a file that claims more was not written here."""


def write(tensors: Mapping[str, Tensor], path: str | Path, header: Mapping[str, Any]) -> None:
    """Write safetensors, in float16 where that holds the numbers, with JSON values as header."""
    from safetensors.torch import save_file

    stored = {name: _half(tensor.detach().cpu()).contiguous() for name, tensor in tensors.items()}
    save_file(stored, path, metadata={"sketchprep": json.dumps(header, sort_keys=True)})


def _half(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() and float(tensor.abs().max()) <= HALF else tensor


def as_float32(tensor: Tensor) -> Tensor:
    """Floating point tensors as float32 (they are stored in half precision), others unchanged."""
    return tensor.float() if tensor.is_floating_point() else tensor


Fits = Callable[[str, list[int] | None, list[int] | None], bool]
"""``fits(name, stored, expected)``: whether a stored shape serves where another is expected; None for no tensor."""


def same_shape(name: str, stored: list[int] | None, expected: list[int] | None) -> bool:
    """Whether a tensor is stored exactly as the network has it."""
    return stored == expected


def check_shapes(networks: nn.Module, file: safe_open, path: Path, *, fits: Fits = same_shape) -> None:
    """Raise `UserError` unless a file holds exactly the tensors of these networks; reads the file's header only."""
    expected = {name: list(value.shape) for name, value in networks.state_dict().items()}
    stored = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    unfit = (name for name in sorted(expected | stored) if not fits(name, stored.get(name), expected.get(name)))
    mismatch = next(unfit, None)
    if mismatch is not None:
        raise UserError(
            f"{path}: does not fit its own description: {mismatch} has shape {stored.get(mismatch, 'missing')}, "
            f"expected {expected.get(mismatch, 'nothing of that name')}; export it again"
        )


def load_frozen(networks: nn.Module, tensors: Mapping[str, Tensor], device: str) -> None:
    """Load weights into networks that were built without any (on the meta device); frozen, eval mode, channels-last."""
    networks.load_state_dict(tensors, assign=True)
    networks.eval().requires_grad_(False).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
