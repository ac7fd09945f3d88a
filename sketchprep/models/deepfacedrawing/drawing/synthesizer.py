"""From a sketch to a face: encode its parts, project their codes onto the bank, blend, and generate the photo.

Chen et al., "DeepFaceDrawing" (SIGGRAPH 2020).  A `Synthesizer` loads model and bank once and draws many; each stage
can be called by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.drawing.bank import load_bank
from sketchprep.models.deepfacedrawing.drawing.manifold import ALL, NEIGHBOURS, Projection, blend, project
from sketchprep.models.deepfacedrawing.drawing.pretrained import bundled
from sketchprep.ops.face_parts import PARTS, remainder, windows
from sketchprep.ops.ink import INK

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.models.deepfacedrawing.drawing.bank import ComponentBank
    from sketchprep.models.deepfacedrawing.networks.model import FaceModel

__all__ = ["BANK", "WB", "Drawn", "Synthesizer", "Wb", "blank_parts", "encoders_digest", "open_synthesizer", "parse_wb"]

BANK = "bank.safetensors"
# How far the face follows the drawing rather than the bank: lines that are 8 px of 512 off come nearest to those meant
# at 0.3, but for the remainder, since hair and outline vary more than a bank holds.
WB: Mapping[str, float] = {ALL: 0.3, "remainder": 0.8}
# A part with less ink than this share of its window has not been drawn.
BLANK = 0.002

Wb = float | Mapping[str, float] | Sequence[float]


@dataclass(frozen=True)
class Drawn:
    """A batch of faces with what led to them.

    Attributes
    ----------
    sketches : ndarray of uint8, shape (B, size, size)
    codes : Tensor of float32, shape (B, 5, latent)
        Of the sketches' parts, in the order of ``face_parts.PARTS``.
    projection : Projection or None
        On the bank; None where the drawing alone was followed.
    blended : Tensor of float32, shape (B, 5, latent)
    faces : ndarray of uint8, shape (B, size, size, 3)
        RGB.
    """

    sketches: np.ndarray
    codes: Tensor
    projection: Projection | None
    blended: Tensor
    faces: np.ndarray


class Synthesizer:
    """A face model with its bank.

    Parameters
    ----------
    model : FaceModel
    bank : ComponentBank, optional
        Or a split of one; without it only the drawing itself can be followed (``wb=1``).

    Raises
    ------
    UserError
        If the bank was made by other encoders.

    Examples
    --------
    >>> synthesizer = open_synthesizer(run="runs/deepfacedrawing")  # doctest: +SKIP
    >>> synthesizer.synthesize(sketches, wb={"all": 0.3, "mouth": 0.8}).faces  # doctest: +SKIP
    """

    def __init__(self, model: FaceModel, bank: ComponentBank | None = None) -> None:
        self.model, self.bank = model, bank
        if bank is not None and bank.encoders != encoders_digest(model):
            raise UserError("the bank was made by other encoders; make it again with `sketchprep bank`")

    @property
    def size(self) -> int:
        """Height and width of sketches and faces in pixels."""
        return self.model.architecture.size

    def encode(self, sketches: np.ndarray) -> Tensor:
        """Codes (B, 5, latent) of sketches (B, size, size), uint8, black on white."""
        if sketches.dtype != np.uint8 or sketches.shape[1:] != (self.size, self.size):
            raise ValueError(
                f"sketches must be uint8 (B, {self.size}, {self.size}), not {sketches.dtype} {sketches.shape}"
            )
        return self.model.encode(sketches)

    def project(self, codes: Tensor, *, k: int = NEIGHBOURS) -> Projection:
        """Draw codes (B, 5, latent) onto the manifold that the bank spans.

        Raises
        ------
        UserError
            Without a bank, or if k is below 1.
        """
        if self.bank is None:
            raise UserError(
                "there is no bank to draw towards; make one with `sketchprep bank --run RUN --data OUT`, or follow the "
                "drawing alone with --wb 1"
            )
        return project(self.bank, codes, k)

    def faces(self, codes: Tensor) -> np.ndarray:
        """Faces (B, size, size, 3), uint8 RGB, of codes (B, 5, latent)."""
        return self.model.faces(codes)

    def redraw(self, codes: Tensor) -> np.ndarray:
        """Sketches (B, size, size), uint8, that codes (B, 5, latent) stand for."""
        return self.model.redraw(codes)

    def synthesize(self, sketches: np.ndarray, *, wb: Wb = WB, k: int = NEIGHBOURS) -> Drawn:
        """Draw faces.

        Parameters
        ----------
        sketches : ndarray of uint8, shape (B, size, size)
            Black on white, in the FFHQ frame; see `sketchprep.models.deepfacedrawing.drawing.sketch_input`.
        wb : float, mapping of str to float, or five floats
            From 0 (the bank) to 1 (the drawing), see `sketchprep.models.deepfacedrawing.drawing.manifold.blend`.  A
            part that is not drawn at all follows the bank whatever it says.
        k : int
            Neighbours in the bank.

        Returns
        -------
        Drawn

        Raises
        ------
        UserError
            For a wrong wb or k, or without a bank where one is needed.
        ValueError
            For pictures of another size or type.
        """
        codes, projection, blended = self.project_sketches(sketches, wb=wb, k=k)
        return Drawn(sketches, codes, projection, blended, self.faces(blended))

    def project_sketches(
        self, sketches: np.ndarray, *, wb: Wb = WB, k: int = NEIGHBOURS
    ) -> tuple[Tensor, Projection | None, Tensor]:
        """Everything of `synthesize` but the faces: codes, their projection, and both blended."""
        import torch

        codes = self.encode(sketches)
        alone = bool((blend(torch.ones_like(codes[:1]), torch.zeros_like(codes[:1]), wb) == 1).all())
        if alone and self.bank is None:
            return codes, None, codes
        projection = self.project(codes, k=k)
        if alone:
            return codes, projection, codes
        blank = torch.from_numpy(np.stack([blank_parts(sketch) for sketch in sketches])).to(codes.device)
        followed = torch.where(blank[..., None], projection.projected, codes)
        return codes, projection, blend(followed, projection.projected, wb)

    @cached_property
    def reference_distances(self) -> dict[str, list[float]]:
        """Distance to the nearest face of the bank, by part: median and 95th percentile of held-out sketches."""
        found = (self.bank.facts if self.bank else {}).get("usual", {})
        return found if isinstance(found, dict) and set(found) == set(PARTS) else {}


def open_synthesizer(
    run: str | Path | None = None,
    *,
    model: str | Path | None = None,
    bank: str | Path | None = None,
    split: str | None = None,
    device: str = "auto",
) -> Synthesizer:
    """Load a model and the bank beside it.

    Parameters
    ----------
    run : path, optional
        A run of `sketchprep train deepfacedrawing`; by default the model that travels with the package.
    model : path, optional
        Instead of a run, its ``deepfacedrawing.safetensors``.
    bank : path, optional
        By default ``bank.safetensors`` beside the model, if there is one.
    split : str, optional
        Only the bank's faces with an attribute, for instance ``"Male=1"``; several with commas.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.

    Returns
    -------
    Synthesizer

    Raises
    ------
    UserError
        If a file is missing or does not fit, or the split is unknown.
    """
    from sketchprep.core import runtime
    from sketchprep.models.deepfacedrawing.networks.model import load_face_model

    if run is None and model is None:
        run = bundled()
    if (run is None) == (model is None):
        raise UserError("name either a run with --run or a model's file with --model")
    path = Path(run or model or "")
    if not path.exists():
        what = "--run" if run is not None else "--model"
        raise UserError(f"{what} {path}: is not there; train one with `sketchprep train deepfacedrawing`")
    loaded = load_face_model(path, device=runtime.resolve_device(device))
    beside = (path if path.is_dir() else path.parent) / BANK
    chosen = Path(bank) if bank is not None else beside if beside.exists() else None
    found = None if chosen is None else load_bank(chosen, encoders=encoders_digest(loaded))
    if split is not None:
        if found is None:
            raise UserError(f"--bank {split}: there is no bank {beside}; make it with `sketchprep bank`")
        for name in split.split(","):
            found = found.split(name)
    return Synthesizer(loaded, found)


def encoders_digest(model: FaceModel) -> str:
    """SHA-256 of the encoders' weights: what a bank belongs to."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.encoders.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def blank_parts(sketch: np.ndarray) -> np.ndarray:
    """Which parts have not been drawn.

    Parameters
    ----------
    sketch : ndarray of uint8, shape (size, size)

    Returns
    -------
    ndarray of bool, shape (5,)
        In the order of ``face_parts.PARTS``.
    """
    found = windows(len(sketch))
    rest = remainder(sketch, [window for part, window in found.items() if part != "remainder"])
    cut = [rest if part == "remainder" else sketch[window.slices] for part, window in found.items()]
    return np.array([float((picture < INK).mean()) < BLANK for picture in cut])


def parse_wb(texts: Iterable[str]) -> dict[str, float]:
    """Read ``--wb``: a number for all parts, ``PART=NUMBER`` for one, with commas or several times.

    Parameters
    ----------
    texts : iterable of str
        Parts that are not named keep 0.3, the remainder 0.8, or the number that stands alone.

    Returns
    -------
    dict of str to float
        For `sketchprep.models.deepfacedrawing.drawing.manifold.blend`.

    Raises
    ------
    UserError
        For an unknown part, or what is no number from 0 to 1.
    """
    shares: dict[str, float] = {}
    for word in ",".join(texts).split(",") if texts else ():
        given, equals, value = word.strip().rpartition("=")
        part = given.strip().replace("-", "_") if equals else ALL
        try:
            shares[part] = float(value)
        except ValueError:
            raise UserError(f"--wb {word}: must be a number from 0 to 1, or PART=NUMBER with commas") from None
        if part not in (ALL, *PARTS):
            raise UserError(f"--wb {word}: there is no part '{part}'; use {', '.join((ALL, *PARTS))}")
        if not 0 <= shares[part] <= 1:
            raise UserError(f"--wb {word}: must be from 0 (plausible, as the bank has it) to 1 (as drawn)")
    return shares if ALL in shares else {**WB, **shares}
