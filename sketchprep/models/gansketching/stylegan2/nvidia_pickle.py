"""Networks in the pickles of stylegan2-ada-pytorch and stylegan3, read without running anything that lies in them.

Such a pickle carries the source text of its classes, which the originals compile when they load it.  Here an unpickler
with a closed list of names builds plain records instead; the source text is dropped.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sketchprep.errors import UserError

__all__ = ["Record", "read_pickle", "tensors_of"]

MOST_BYTES = 4 << 30  # no such file has more


class Record:
    """What is left of an object of the original: its class's name and its state."""

    def __init__(self, class_name: str = "", state: dict[str, Any] | None = None) -> None:
        self.class_name, self.state = class_name, state or {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state


def _persistent(meta: dict[str, Any]) -> Record:
    return Record(str(meta.get("class_name", "")), meta.get("state") or {})


def _storage(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=True)


def _scalar(dtype: Any, data: bytes) -> float:
    import numpy as np

    return float(np.frombuffer(data, dtype, 1)[0])


def _dtype(*arguments: Any) -> Any:
    import numpy as np

    kind = str(arguments[0])
    if kind not in ("f4", "f8", "i4", "i8"):
        raise pickle.UnpicklingError(f"numpy type {kind!r}")
    return np.dtype(kind)


_KNOWN: dict[tuple[str, str], Any] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("dnnlib.util", "EasyDict"): dict,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_pickle(path: Path) -> dict[str, Record]:
    """The networks of a pickle by name (``G``, ``D``, ``G_ema``).

    Raises
    ------
    UserError
        If the file is none of these pickles, or asks for anything that they do not need.
    """
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path}: {path.stat().st_size:,} bytes are too many for a pickle of StyleGAN2")
    try:
        with open(path, "rb") as file:
            content = _Unpickler(file).load()
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise UserError(
            f"{path}: is no pickle of stylegan2-ada-pytorch or stylegan3 that can be read safely ({error}); files "
            "of the TensorFlow version are converted first by stylegan3's legacy.py"
        ) from error
    except Exception as error:  # a damaged pickle raises whatever its bytes make of it
        raise UserError(f"{path}: is no pickle that can be read ({type(error).__name__}); is it whole?") from error
    networks = content if isinstance(content, dict) else {}
    found = {name: record for name, record in networks.items() if isinstance(record, Record)}
    if not found:
        raise UserError(f"{path}: holds no network; expected a dict with G, D and G_ema")
    return found


def tensors_of(record: Record, prefix: str = "") -> dict[str, Tensor]:
    """All parameters and buffers of a network by dotted name, as ``state_dict`` would name them."""
    found = {}
    for kind in ("_parameters", "_buffers"):
        for name, value in (record.state.get(kind) or {}).items():
            if isinstance(value, Tensor):
                found[prefix + name] = value.detach()
    for name, child in (record.state.get("_modules") or {}).items():
        if isinstance(child, Record):
            found |= tensors_of(child, f"{prefix}{name}.")
    return found
