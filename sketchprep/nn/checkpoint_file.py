"""Networks in one file with a description: written in half precision, read back checked, frozen and ready to draw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.networks.codes import fits

if TYPE_CHECKING:
    from safetensors import safe_open

__all__ = ["LARGEST", "full", "refuse_other_shapes", "settle", "write"]

HALF = torch.finfo(torch.float16).max
LARGEST = 8192
"""No network of ours has more of anything; a file that says so is not one of ours."""


def write(tensors: Mapping[str, Tensor], path: str | Path, header: Mapping[str, Any]) -> None:
    """Write safetensors, in float16 where that holds the numbers, with JSON values as header."""
    from safetensors.torch import save_file

    stored = {name: _half(tensor.detach().cpu()).contiguous() for name, tensor in tensors.items()}
    save_file(stored, path, metadata={"sketchprep": json.dumps(header, sort_keys=True)})


def _half(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() and float(tensor.abs().max()) <= HALF else tensor


def full(tensor: Tensor) -> Tensor:
    """What is computed with: float32 for what is stored in half precision."""
    return tensor.float() if tensor.is_floating_point() else tensor


def refuse_other_shapes(networks: nn.Module, file: safe_open, path: Path) -> None:
    """Raise `UserError` unless a file holds the weights of these networks, before any of them is read."""
    expected = {name: list(value.shape) for name, value in networks.state_dict().items()}
    found = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    odd = next((name for name in sorted(expected | found) if not fits(name, found.get(name), expected.get(name))), None)
    if odd is not None:
        raise UserError(
            f"{path}: does not fit its own description: {odd} has shape {found.get(odd, 'missing')}, expected "
            f"{expected.get(odd, 'nothing of that name')}; export it again"
        )


def settle(networks: nn.Module, tensors: Mapping[str, Tensor], device: str) -> None:
    """Give networks that were built without weights theirs; frozen, in eval mode and channels-last."""
    networks.load_state_dict(tensors, assign=True)
    networks.eval().requires_grad_(False).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
