"""The component bank: part codes of all faces of a dataset, with the digest of their encoders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.errors import UserError
from sketchprep.io.files import atomic
from sketchprep.ops.face_parts import PARTS

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.models.deepfacedrawing.drawing.distance_bounds import DistanceBounds

__all__ = ["ComponentBank", "load_bank", "make_bank"]

FORMAT = "sketchprep-bank-1"
NARROW = "sketchprep-bank-2"  # half precision, each part with as many numbers as its codes have
LONGEST_CODE = 65_536
YES, UNKNOWN, NO = 1, 0, -1
_PREFIX, _CODES = "attribute.", "codes."


@dataclass(frozen=True, eq=False)
class ComponentBank:
    """Codes of many faces, all of them or those of a split.

    A split shares everything with the bank it was taken from and costs no memory; its indices, ids and codes are those
    of the whole bank.

    Attributes
    ----------
    by_part : Tensor of float32, shape (5, N, latent)
        Contiguous, in the order of ``face_parts.PARTS``.
    ids : list of str, length N
    encoders : str
        SHA-256 of the encoders' weights in hexadecimal.
    attributes : dict of str to ndarray of int8, shape (N,)
        1 yes, -1 no, 0 not known.
    members : Tensor of bool, shape (N,), or None
        The faces of a split; None for all.
    split_name : str
        For instance ``"Male=1"``; empty for all.
    facts : dict
        JSON values that whoever made the bank wants to find in it again.
    """

    by_part: Tensor
    ids: list[str]
    encoders: str
    attributes: dict[str, np.ndarray]
    members: Tensor | None = None
    split_name: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    _shared: dict[str, DistanceBounds] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Faces to choose from."""
        return len(self.ids) if self.members is None else int(self.members.sum())

    @property
    def codes(self) -> Tensor:
        """Float32, shape (N, 5, latent), without copying."""
        return self.by_part.transpose(0, 1)

    @property
    def latent(self) -> int:
        """Length of a code."""
        return self.by_part.shape[2]

    @property
    def distance_bounds(self) -> DistanceBounds:
        """What makes the search fast; made at its first use, shared with the splits."""
        from sketchprep.models.deepfacedrawing.drawing.distance_bounds import DistanceBounds

        if "distance_bounds" not in self._shared:
            self._shared["distance_bounds"] = DistanceBounds(self.by_part)
        return self._shared["distance_bounds"]

    def split(self, name: str, value: int | None = None) -> ComponentBank:
        """Keep the faces of which an attribute is true, or false.

        Parameters
        ----------
        name : str
            ``"Male"``, or with its value, ``"Male=1"`` or ``"Male=0"``.
        value : int, optional
            1 for yes, 0 or -1 for no; by default what the name says, else 1.  Faces of which it is not known are in
            neither.

        Returns
        -------
        ComponentBank

        Raises
        ------
        UserError
            For an unknown attribute or value, or if no face is left.
        """
        name, equals, text = name.partition("=")
        if name not in self.attributes:
            known = ", ".join(self.attributes) or "none: its dataset came without annotations"
            raise UserError(f"bank split '{name}': the bank has no such attribute; it knows {known}")
        wanted = value if value is not None else {"": 1, "1": 1, "0": 0, "-1": -1}.get(text if equals else "")
        if wanted not in (1, 0, -1) or (equals and not text):
            raise UserError(f"bank split '{name}={text or value}': the value must be 1 for yes or 0 for no")
        return self._where(self.attributes[name] == (YES if wanted == 1 else NO), f"{name}={max(wanted, 0)}")

    def _where(self, chosen: np.ndarray, name: str) -> ComponentBank:
        import torch

        members = torch.from_numpy(chosen)
        if self.members is not None:
            members, name = members & self.members, f"{self.split_name},{name}"
        if not members.any():
            raise UserError(f"bank split '{name}': no face of the bank is left; take another split, or none")
        return replace(self, members=members, split_name=name)

    def without(self, ids: Sequence[str]) -> ComponentBank:
        """The bank without some of its faces."""
        import torch

        kept = torch.from_numpy(~np.isin(np.array(self.ids), list(ids)))
        return replace(self, members=kept if self.members is None else kept & self.members)

    def save(self, path: str | Path, *, lengths: Mapping[str, int] | None = None) -> Path:
        """Write the whole bank as safetensors.

        Parameters
        ----------
        path : path
        lengths : mapping of str to int, optional
            By part, after how many numbers its codes are zero: to store only those, in half precision.

        Returns
        -------
        Path

        Raises
        ------
        UserError
            If it cannot be written.
        """
        import torch
        from safetensors.torch import save_file

        path = Path(path)
        names = json.dumps(self.ids, ensure_ascii=False).encode()
        tensors = {"codes": self.by_part} if lengths is None else _narrowed(self.by_part, lengths)
        tensors["ids"] = torch.frombuffer(bytearray(names), dtype=torch.uint8)
        tensors |= {_PREFIX + name: torch.from_numpy(values) for name, values in self.attributes.items()}
        about = {"format": FORMAT if lengths is None else NARROW, "encoders": self.encoders, "parts": " ".join(PARTS)}
        about["facts"] = json.dumps(self.facts, ensure_ascii=False, sort_keys=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(path) as temporary:
                save_file(tensors, temporary, metadata=about)
                _sort_header(temporary)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror or error}); choose another file") from None
        return path


def _sort_header(path: Path) -> None:
    """Bring a safetensors file's notes into order, so that one bank has the same bytes each time.

    The library writes them in the order of a hash table, which changes from process to process.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


def make_bank(
    codes: Tensor, ids: Sequence[str], encoders: str, attributes: Mapping[str, np.ndarray] | None = None
) -> ComponentBank:
    """Bring codes into a bank.

    Parameters
    ----------
    codes : Tensor of float, shape (N, 5, latent)
        Finite; not copied if it is a transposed contiguous float32 (5, N, latent).
    ids : sequence of str, length N
    encoders : str
        SHA-256 of the encoders' weights, 64 hexadecimal digits.
    attributes : mapping of str to ndarray of int8, shape (N,), optional
        1 yes, -1 no, 0 not known.

    Returns
    -------
    ComponentBank

    Raises
    ------
    ValueError
        If lengths, shapes or values are wrong, or there are no faces.
    """
    import torch

    if codes.ndim != 3 or codes.shape[1] != len(PARTS) or not len(codes) or not 1 <= codes.shape[2] <= LONGEST_CODE:
        raise ValueError(f"codes must have the shape (faces, {len(PARTS)}, latent), not {tuple(codes.shape)}")
    if len(ids) != len(codes):
        raise ValueError(f"there are {len(ids)} ids for {len(codes)} faces")
    if len(encoders) != 64 or not set(encoders) <= set("0123456789abcdef"):
        raise ValueError(f"the encoders' hash must be 64 hexadecimal digits, not {encoders[:80]!r}")
    by_part = codes.detach().to("cpu", torch.float32).transpose(0, 1).contiguous()
    if not all(torch.isfinite(block).all() for part in by_part for block in part.split(4096)):
        raise ValueError("codes hold values that are not finite")
    arrays = {name: np.array(values, np.int8) for name, values in (attributes or {}).items()}
    for name, values in arrays.items():
        if values.shape != (len(ids),) or not np.isin(values, (YES, UNKNOWN, NO)).all():
            raise ValueError(f"attribute {name} must have {len(ids)} values of -1, 0 or 1")
    return ComponentBank(by_part, list(ids), encoders, arrays)


def load_bank(path: str | Path, *, encoders: str | None = None) -> ComponentBank:
    """Read a bank.

    Parameters
    ----------
    path : path
    encoders : str, optional
        SHA-256 of the encoders that will be used with it.

    Returns
    -------
    ComponentBank
        Its codes are mapped from the file, not copied, unless they are stored in half precision.

    Raises
    ------
    UserError
        If the file is missing, damaged, no bank, or made by other encoders.
    """
    from safetensors import SafetensorError, safe_open

    again = "make the bank again from this model"
    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such bank; name another file, or {again}")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("format") not in (FORMAT, NARROW) or about.get("parts") != " ".join(PARTS):
                raise UserError(f"{path}: is no bank that this version reads; name another file, or {again}")
            if encoders is not None and about.get("encoders") != encoders:
                made = str(about.get("encoders"))[:12]
                raise UserError(f"{path}: was made by other encoders ({made}…) than these ({encoders[:12]}…); {again}")
            return _from_tensors({name: file.get_tensor(name) for name in file.keys()}, about)  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error}); {again}") from None


def _from_tensors(tensors: dict[str, Tensor], about: dict[str, Any]) -> ComponentBank:
    codes, names = tensors["codes"] if about["format"] == FORMAT else _widened(tensors), tensors["ids"]
    if str(codes.dtype) != "torch.float32" or str(names.dtype) != "torch.uint8":
        raise ValueError("codes or ids have another type")
    ids = json.loads(names.numpy().tobytes())
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise ValueError("ids are no list of names")
    if codes.ndim != 3:
        raise ValueError(f"codes have the shape {tuple(codes.shape)}")
    attributes = {
        name.removeprefix(_PREFIX): tensor.numpy() for name, tensor in tensors.items() if name.startswith(_PREFIX)
    }
    facts = json.loads(about.get("facts", "{}"))
    if not isinstance(facts, dict):
        raise ValueError("facts are no mapping")
    return replace(make_bank(codes.transpose(0, 1), ids, about["encoders"], attributes), facts=facts)


def _narrowed(by_part: Tensor, lengths: Mapping[str, int]) -> dict[str, Tensor]:
    """Tensors to store: float16 (N, length) for each part, where float16 holds its numbers.

    Parameters
    ----------
    by_part : Tensor of float32, shape (5, N, latent)
        Zero from each part's length on.
    lengths : mapping of str to int
    """
    import torch

    stored = {}
    for at, part in enumerate(PARTS):
        codes = by_part[at, :, : lengths[part]]
        half = float(codes.abs().max()) <= torch.finfo(torch.float16).max
        stored[_CODES + part] = (codes.half() if half else codes).contiguous()
    return stored


def _widened(tensors: Mapping[str, Tensor]) -> Tensor:
    """Codes (5, N, latent), float32, of stored tensors, with zeros after the shorter ones.

    Raises
    ------
    ValueError
        If they are no codes of as many faces for each part.
    KeyError
        If a part is missing.
    """
    import torch

    parts = [tensors[_CODES + part] for part in PARTS]
    if any(codes.ndim != 2 or codes.dtype not in (torch.float16, torch.float32) for codes in parts):
        raise ValueError("codes have another type or shape")
    if len({len(codes) for codes in parts}) != 1:
        raise ValueError("the parts have codes of different numbers of faces")
    wide = torch.zeros(len(parts), len(parts[0]), max(codes.shape[1] for codes in parts))
    for row, codes in zip(wide, parts, strict=True):
        row[:, : codes.shape[1]] = codes
    return wide
