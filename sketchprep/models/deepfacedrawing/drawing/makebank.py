"""The bank of a finished model: the codes of its training sketches, and how far held-out sketches lie from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.drawing.manifold import build_bank, project
from sketchprep.models.deepfacedrawing.drawing.synthesizer import BANK, Synthesizer, encoders_digest
from sketchprep.ops.face_parts import PARTS

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.models.deepfacedrawing.drawing.bank import ComponentBank

__all__ = ["make_model_bank"]

HELD_OUT = 256
BATCH = 32


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
        bank, facts={**_facts(data), "usual": usual_distances(Synthesizer(loaded, bank), data, sketch=sketch)}
    )
    return bank, bank.save(path)


def usual_distances(synthesizer: Synthesizer, data: str | Path, *, sketch: str = "sketch") -> dict[str, list[float]]:
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
    from sketchprep.models.deepfacedrawing.drawing.frame_check import distances
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
            bank = without(bank, names)
        found.append(distances(bank, codes, project(bank, codes, 1)))
    levels = np.percentile(np.concatenate(found), [50, 95], axis=0)
    return {part: [float(v) for v in levels[:, at]] for at, part in enumerate(PARTS)}


def without(bank: ComponentBank, ids: list[str]) -> ComponentBank:
    """The bank without some of its faces."""
    import torch

    kept = torch.from_numpy(~np.isin(np.array(bank.ids), ids))
    return replace(bank, members=kept if bank.members is None else kept & bank.members)


def _facts(data: str | Path) -> dict[str, Any]:
    from sketchprep.datasets.reader import read_recipe

    stored = read_recipe(Path(data))
    return {"data": Path(data).resolve().name, "hash": stored.get("hash"), "recipe": stored["recipe"]}
