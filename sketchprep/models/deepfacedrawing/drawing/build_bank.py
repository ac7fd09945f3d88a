"""Encode a dataset's sketches into a component bank, and measure how far held-out sketches lie from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.models.deepfacedrawing.drawing.bank import NO, UNKNOWN, YES, ComponentBank, make_bank
from sketchprep.models.deepfacedrawing.drawing.frame_check import distances
from sketchprep.models.deepfacedrawing.drawing.manifold import project
from sketchprep.models.deepfacedrawing.drawing.synthesizer import BANK, Synthesizer, encoders_digest
from sketchprep.ops.face_parts import PARTS

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.datasets.reader import Pair

__all__ = ["attribute_table", "build_bank", "make_model_bank", "reference_distances"]

HELD_OUT = 256
BATCH = 32


def attribute_table(rows: Sequence[Iterable[str] | None]) -> dict[str, np.ndarray]:
    """Attributes of many faces as columns.

    Parameters
    ----------
    rows : sequence of (iterable of str or None)
        The attributes that are true of each face; None where it has no annotation.

    Returns
    -------
    dict of str to ndarray of int8, shape (len(rows),)
        1 yes, -1 no, 0 not known; the names sorted.
    """
    names = sorted({name for row in rows if row is not None for name in row})
    sets = [None if row is None else frozenset(row) for row in rows]
    return {
        name: np.array([UNKNOWN if row is None else YES if name in row else NO for row in sets], np.int8)
        for name in names
    }


def build_bank(
    encode: Callable[[Tensor], Tensor],
    data: str | Path,
    *,
    size: int,
    encoders: str,
    split: str = "train",
    sketch: str = "sketch",
    limit: int | None = None,
    batch: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> ComponentBank:
    """Encode the sketches of a dataset, a batch at a time.

    Parameters
    ----------
    encode : callable
        From sketches, float32 (B, 1, size, size), -1 (ink) to 1 (paper), to codes (B, 5, latent).
    data : path
        The dataset.
    size : int
        Of the encoders' frame in pixels.
    encoders : str
        SHA-256 of the encoders' weights in hexadecimal.
    split, sketch, limit
        See `sketchprep.training.paired_data.PairedFaces`.
    batch : int
        Sketches encoded at once.
    progress : callable, optional
        Called with the number of faces done and of all.

    Returns
    -------
    ComponentBank
        In the dataset's order, with the attributes that the dataset has.

    Raises
    ------
    UserError
        If the dataset will not do or a sketch cannot be read.
    """
    import torch

    from sketchprep.datasets.reader import open_pairs
    from sketchprep.training.paired_data import ALL as EVERY
    from sketchprep.training.paired_data import PairedFaces

    # PairedFaces knows which datasets will do, and the name under which the stage is stored.
    faces = PairedFaces(data, size=size, split=split, sketch=sketch, photos=False, limit=limit)
    pairs = open_pairs(data, None if split == EVERY else split)
    attributes = attribute_table(pairs.table["attributes"].slice(0, len(faces)).to_pylist())
    codes: Tensor | None = None
    for start in range(0, len(faces), batch):
        numbers = range(start, min(start + batch, len(faces)))
        pictures = np.stack([_sketch(pairs[number], faces.sketch, size) for number in numbers])
        with torch.no_grad():
            found = encode(torch.from_numpy(pictures)[:, None].float() / 127.5 - 1).float().cpu()
        if codes is None:
            codes = torch.empty(len(PARTS), len(faces), found.shape[-1])
        codes[:, start : start + len(found)] = found.transpose(0, 1)
        if progress is not None:
            progress(start + len(found), len(faces))
    assert codes is not None
    if not torch.isfinite(codes).all():
        raise UserError(f"{data}: the encoders give codes that are not finite; train them again, or take another run")
    return make_bank(codes.transpose(0, 1), faces.ids, encoders, attributes)


def _sketch(pair: Pair, stage: str, size: int) -> np.ndarray:
    from sketchprep.ops.resize import resize

    try:
        return resize(pair[stage], (size, size))
    except SampleError as error:
        raise UserError(f"pair {pair.id!r}: {error}; see `sketchprep verify`") from None


def make_model_bank(
    model: str | Path,
    data: str | Path,
    out: str | Path | None = None,
    *,
    split: str | None = None,
    limit: int | None = None,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ComponentBank, Path]:
    """Encode a dataset's sketches for a model and write the bank.

    Parameters
    ----------
    model : path
        A run of `sketchprep train deepfacedrawing`, or its ``deepfacedrawing.safetensors``.
    data : path
        A built dataset, as a rule the one that the model was trained on.
    out : path, optional
        The file; by default ``bank.safetensors`` beside the model.
    split : str, optional
        By default the one that the model was trained on.
    limit : int, optional
        Only the first faces.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    progress : callable, optional
        Called with the number of faces done and of all.

    Returns
    -------
    bank : ComponentBank
        With its `facts`: the dataset, its recipe, and by part the median and the 95th percentile of the distance of
        held-out sketches to their nearest face.
    path : Path

    Raises
    ------
    UserError
        If the model or the dataset will not do, or the file cannot be written.
    """
    from sketchprep.core import runtime
    from sketchprep.models.deepfacedrawing.networks.model import load_face_model

    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    path = Path(out) if out is not None else folder / BANK
    if path.is_dir():
        raise UserError(f"-o {path}: is a folder; name a file, for instance {path / BANK}")
    loaded = load_face_model(model, device=runtime.resolve_device(device))
    target = next(loaded.encoders.parameters()).device
    trained = loaded.facts.get("task", {}).get("data", {})
    sketch = trained.get("sketch", "sketch")

    def encode(pictures: Tensor) -> Tensor:
        return loaded.encoders(pictures.to(target))

    bank = build_bank(
        encode,
        data,
        size=loaded.architecture.size,
        encoders=encoders_digest(loaded),
        split=split or trained.get("split", "train"),
        sketch=sketch,
        limit=limit,
        batch=BATCH,
        progress=progress,
    )
    bank = replace(
        bank, facts={**_facts(data), "usual": reference_distances(Synthesizer(loaded, bank), data, sketch=sketch)}
    )
    return bank, bank.save(path)


def reference_distances(
    synthesizer: Synthesizer, data: str | Path, *, sketch: str = "sketch"
) -> dict[str, list[float]]:
    """Distance of held-out sketches to the nearest face of the bank, by part: median and 95th percentile.

    Parameters
    ----------
    synthesizer : Synthesizer
        With a bank.
    data : path
        Its dataset; where that holds nothing out, a face's distance to itself does not count.
    sketch : str
        The stored stage.
    """
    from sketchprep.training.paired_data import held_out

    assert synthesizer.bank is not None
    faces = held_out(data, size=synthesizer.size, sketch=sketch, photos=False, limit=HELD_OUT)
    known = set(synthesizer.bank.ids)
    found = []
    pictures = faces.fixed(HELD_OUT)["sketch"][:, 0]
    for start in range(0, len(pictures), BATCH):
        codes = synthesizer.encode(pictures[start : start + BATCH])
        bank, names = synthesizer.bank, faces.ids[start : start + BATCH]
        if known & set(names) and len(bank) > len(known & set(names)):
            bank = bank.without(names)
        found.append(distances(bank, codes, project(bank, codes, 1)))
    levels = np.percentile(np.concatenate(found), [50, 95], axis=0)
    return {part: [float(v) for v in levels[:, at]] for at, part in enumerate(PARTS)}


def _facts(data: str | Path) -> dict[str, Any]:
    from sketchprep.datasets.layout import read_recipe

    stored = read_recipe(Path(data))
    return {"data": Path(data).resolve().name, "hash": stored.get("hash"), "recipe": stored["recipe"]}
