"""Safetensors files of networks with a JSON header: written in half precision, shapes checked before any is read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from sketchprep.errors import UserError
from sketchprep.io.files import atomic

if TYPE_CHECKING:
    from safetensors import safe_open

__all__ = ["as_float32", "check_shapes", "in_run", "load_frozen", "opened", "write"]

HALF = torch.finfo(torch.float16).max
Shape = TypeVar("Shape")
LARGEST = 65536
"""Upper bound of every size in a header: a file that claims more was not written here."""


def write(tensors: Mapping[str, Tensor], path: str | Path, header: Mapping[str, Any]) -> None:
    """Write safetensors, in float16 where that holds the numbers, with JSON values as header."""
    from safetensors.torch import save_file

    stored = {name: _half(tensor.detach().cpu()).contiguous() for name, tensor in tensors.items()}
    with atomic(Path(path)) as temporary:
        save_file(stored, temporary, metadata={"sketchprep": json.dumps(header, sort_keys=True)})


def in_run(path: str | Path, name: str) -> Path:
    """The model file of that name in a run's folder, or the file itself."""
    return Path(path) / name if Path(path).is_dir() else Path(path)


@contextlib.contextmanager
def opened(
    path: Path, network: str, key: str, shape: Callable[..., Shape], *, kind: str, remedy: str
) -> Iterator[tuple[safe_open, dict[str, Any], Shape]]:
    """Open a model file whose header names a network.

    Parameters
    ----------
    path : Path
    network : str
        What the header must name as ``network``.
    key : str
        Header key of the numbers that the weights' shapes follow from; they are bounded before `shape` sees them.
    shape : callable
        Makes them what the network is built from; may raise UserError.
    kind : str
        What a message calls the file: ``"baseline"``.
    remedy : str
        What to do about another file.

    Yields
    ------
    file : safe_open
    header : dict
    shape : what `shape` returned

    Raises
    ------
    UserError
        If the file is missing, partial or of another network; so too for what goes wrong while it is read in the block.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path}: there is no such {kind}; {remedy}")
    try:
        with safe_open(path, "pt") as file:
            header = (file.metadata() or {}).get("sketchprep", "")
            yield file, *_described(header, network, key, shape, f"{path}: holds no {kind}; {remedy}")
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a {kind} ({error}); {remedy}") from None


def _described(
    text: str, network: str, key: str, shape: Callable[..., Shape], mismatch: str
) -> tuple[dict[str, Any], Shape]:
    try:
        header = json.loads(text)
        numbers = [value for value in header[key].values() if not isinstance(value, str | None)]
        if header["network"] != network or not all(isinstance(n, int | float) and 0 <= n <= LARGEST for n in numbers):
            raise ValueError
        return header, shape(**header[key])
    except (KeyError, ValueError, TypeError, AttributeError, UserError):
        raise UserError(mismatch) from None


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
