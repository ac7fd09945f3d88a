"""Export a run's checkpoints as one model file with its card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing import FILE
from sketchprep.models.deepfacedrawing.training.card import card
from sketchprep.models.deepfacedrawing.training.stage1_weights import DECODERS, ENCODERS
from sketchprep.training import checkpoint
from sketchprep.training.export import facts_of, write_with_card

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.training.checkpoint import Checkpoint

__all__ = ["export_face_model"]

STAGE = "fm-is"


def export_face_model(run: str | Path, out: str | Path | None = None, *, about: dict[str, Any] | None = None) -> Path:
    """Write the networks of a run's newest checkpoint for
    `sketchprep.models.deepfacedrawing.networks.model.load_face_model`.

    Parameters
    ----------
    run : path
        A run of DeepFaceDrawing whose second stage has a checkpoint, finished or not.
    out : path, optional
        The file; default ``deepfacedrawing.safetensors`` in the run.  The card has the same stem and ends in ``.md``.
    about : dict, optional
        Further facts: ``preset``, ``licences``.

    Returns
    -------
    Path
        Encoders and image decoders as stage 1 left them, and the moving average of the generator; float16.

    Raises
    ------
    UserError
        If a part is missing or does not belong to the others, or the file cannot be written.
    """
    from sketchprep.models.deepfacedrawing.networks.model import save_face_model
    from sketchprep.models.deepfacedrawing.training.settings import ARCHITECTURE, Settings

    run = Path(run)
    found = checkpoint.read_run_of(STAGE, run / STAGE, "train deepfacedrawing")
    task = found.settings["task"]
    tensors = {f"generator.{key}": value for key, value in found.tensors("generator.ema").items()}
    encoders, notes, digest = _read(run / ENCODERS)
    if digest != task["encoders"]:
        raise UserError(f"{run / ENCODERS}: is not what stage 2 was trained on; train stage 2 anew")
    tensors |= {f"encoders.{key}": value for key, value in encoders.items()}
    tensors |= {f"image_decoders.{k.removeprefix('parts.')}": v for k, v in _read(run / DECODERS)[0].items()}
    architecture = Settings.model_validate({key: task[key] for key in ARCHITECTURE}).architecture()
    facts = {**_facts(found, notes), **(about or {})}
    return write_with_card(
        Path(out) if out else run / FILE,
        lambda path: save_face_model(tensors, architecture, path, facts=facts),
        lambda size: card(facts, run, size=size),
    )


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load

    try:
        data = path.read_bytes()
        with safe_open(path, "pt") as file:
            notes = json.loads((file.metadata() or {}).get("sketchprep", "{}"))
        return load(data), notes, hashlib.sha256(data).hexdigest()
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run `sketchprep train --stage fm-is` again") from None


def _facts(found: Checkpoint, notes: dict[str, Any]) -> dict[str, Any]:
    return {
        **facts_of(found),
        "images": {"ce": {part: note["images"] for part, note in notes.items()}, STAGE: found.images},
        "explained": {part: note["explained"] for part, note in notes.items()},
    }
