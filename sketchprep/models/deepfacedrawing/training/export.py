"""The finished model of DeepFaceDrawing, taken out of a run: one file with its networks, and its card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing import FILE
from sketchprep.models.deepfacedrawing.training.stage1_weights import DECODERS, ENCODERS, WEAK
from sketchprep.training import checkpoint
from sketchprep.training.export import facts_of, write_with_card

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.training.checkpoint import Checkpoint

__all__ = ["card", "export_face_model"]

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
    found = checkpoint.read(run / STAGE)
    if found.task != STAGE:
        raise UserError(f"{run}: holds a run of {found.task}; name one of DeepFaceDrawing")
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
        lambda size: card(facts, size),
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


def card(facts: dict[str, Any], size: int) -> str:
    """Model card in Markdown.

    Parameters
    ----------
    facts : dict
        What the header of the model holds.
    size : int
        Bytes of the file.
    """
    task, images = facts["task"], facts["images"]
    data = task["data"]
    asked = "\n".join(f"- {line}" for line in facts.get("licences", [])) or "- unknown: see the dataset's own card"
    explained = "\n".join(
        f"| {part} | {images['ce'][part]:,} | {_percent(share)} |" for part, share in facts["explained"].items()
    )
    scores = "\n".join(f"| {name} | {value:.4f} |" for name, value in facts["scores"].items())
    weights = ", ".join(f"{task[key]:g} {key.replace('_', ' ')}" for key in _LOSSES)
    preset = f", preset `{facts['preset']}`" if "preset" in facts else ""
    return f"""# DeepFaceDrawing, {task["size"]} px

Turns a sketch of a front face, black ink on white in the FFHQ frame, into a photo of as many pixels.
Networks after Chen et al., DeepFaceDrawing (SIGGRAPH 2020){preset}; {size / 1e6:.1f} MB of float16 safetensors.

## Data and licence

Trained on {data["pairs"]:,} pairs (split `{data["split"]}`, sketches `{data["sketch"]}`). The weights are made from
these photos; what their licences ask goes for the weights too:

{asked}

## Stage 1: a code for each part

| part | images | variance of held-out sketches explained |
|---|---|---|
{explained}

Under {WEAK:.0%}, what is in that part of a sketch hardly reaches the face.

## Stage 2: from codes to a face

{images[STAGE]:,} of {facts["of"]:,} images, {facts["step"]} a step, {facts["precision"]}, seed {facts["seed"]}.
The weights are the moving average. Losses: {weights}.

| on held-out pairs | |
|---|---|
{scores}

## Not made for

Faces from the side, with glasses or hats where the data had none; other frames; telling who somebody is. The faces
are inventions in the manner of the data, and share its biases.
"""


_LOSSES = ("gan", "feature_matching", "l1", "perceptual")


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{max(0.0, share):.0%}"
