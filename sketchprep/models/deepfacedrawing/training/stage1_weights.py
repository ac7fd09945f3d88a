"""Collect the weights of stage 1 for stage 2: check each part's run, export encoders and image decoders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError
from sketchprep.io.files import atomic
from sketchprep.ops.face_parts import PARTS
from sketchprep.training import checkpoint, run_dir

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.models.deepfacedrawing.training.settings import Settings
    from sketchprep.training.checkpoint import Checkpoint

__all__ = [
    "DECODERS",
    "ENCODERS",
    "TASK",
    "WEAK",
    "Part",
    "find",
    "finished",
    "folder_of",
    "refuse_others",
    "warning",
    "write",
    "write_untrained",
]

TASK = "ce"
ENCODERS, DECODERS = "encoders.safetensors", "image_decoders.safetensors"
# A code that explains less of its part than this hardly carries it to stage 2.
WEAK = 0.3


@dataclass(frozen=True)
class Part:
    """A part's autoencoder in a checkpoint.

    Attributes
    ----------
    name : str
    found : Checkpoint
    """

    name: str
    found: Checkpoint

    @property
    def explained(self) -> float | None:
        """Share of the held-out variance that its code explains, at most 1; None if it was not measured."""
        unexplained = self.found.scores.get(f"unexplained.{self.name}")
        return None if unexplained is None else 1 - unexplained

    def tensors(self, half: str) -> dict[str, Tensor]:
        """The averaged weights of its ``encoder`` or ``decoder``: those that were scored."""
        whole = self.found.tensors(f"{self.name}.ema")
        return {key.removeprefix(f"{half}."): value for key, value in whole.items() if key.startswith(f"{half}.")}


def folder_of(run: Path, part: str | None) -> Path:
    """Where stage 1 trains: ``ce`` for all parts at once, ``ce-PART`` for one alone."""
    return run / (TASK if part is None else f"{TASK}-{part}")


def finished(found: Checkpoint | None) -> bool:
    """Whether a run came to its end."""
    return found is not None and found.images >= found.settings["options"]["images"]


def find(run: Path, settings: Settings, *, option: str = "--run") -> dict[str, Part]:
    """Look up a finished autoencoder for each part.

    Parameters
    ----------
    run : Path
        A run of DeepFaceDrawing with ``ce`` or ``ce-PART`` folders, of which one of its own goes before that of all;
        or a run of stage 1 or one of its checkpoints, finished or not.
    settings : Settings
        The network that stage 2 will have.
    option : str
        How the user named the folder.

    Raises
    ------
    UserError
        If a part is missing or not finished, or belongs to another stage or another network.
    """
    if (run / checkpoint.FOLDER).is_dir() or (run / checkpoint.STATE).is_file():
        chosen = checkpoint.read(run)
        refuse_others(chosen, settings, f"{option} {run}")
        found = {part: Part(part, chosen) for part in PARTS if part in chosen.modules()}
    else:
        found = {}
        for part in PARTS:
            alone, together = (_latest(folder_of(run, p), settings, part) for p in (part, None))
            best = next((c for c in (alone, together) if finished(c)), None) or alone or together
            if best is not None:
                found[part] = Part(part, best)
        _refuse_unfinished(found)
    missing = [part for part in PARTS if part not in found]
    if missing:
        what = "no stage 1" if len(missing) == len(PARTS) else f"no autoencoder of {', '.join(missing)}"
        raise UserError(
            f"{option} {run}: holds {what}, which stage fm-is needs; train it first with --stage ce, or name a run "
            "that has it with --encoders"
        )
    return found


def _latest(folder: Path, settings: Settings, part: str) -> Checkpoint | None:
    found = checkpoint.load_latest(folder)
    if found is None or part not in found.modules():
        return None
    refuse_others(found, settings, str(folder))
    return found


def _refuse_unfinished(found: Mapping[str, Part]) -> None:
    for part in found.values():
        if not finished(part.found):
            folder, total = part.found.path.parent.parent, part.found.settings["options"]["images"]
            raise UserError(
                f"{folder}: stage 1 stopped at {part.found.images:,} of {total:,} images; finish it by running its "
                f"command again, or take it as it is with --stage fm-is --encoders {folder}"
            )


def refuse_others(found: Checkpoint, settings: Settings, where: str) -> None:
    """Raise UserError unless a checkpoint is of stage 1 and of the network of these settings."""
    if found.task != TASK:
        raise UserError(f"{where}: is a run of {found.task}, not of stage ce; name one of stage 1")
    theirs, ours = found.settings["task"]["architecture"], settings.encoder()
    differing = [f"{key} {theirs.get(key)}, not {ours[key]}" for key in ours if theirs.get(key) != ours[key]]
    if differing:
        raise UserError(
            f"{where}: was trained with another network ({'; '.join(differing)}); use the preset it was trained with, "
            "or another --run"
        )


def warning(parts: Mapping[str, Part]) -> str | None:
    """A sentence that names the parts whose codes explain too little, and what to do; None if all are strong."""
    weak = {n: p for n, p in parts.items() if p.explained is not None and p.explained < WEAK}
    if not weak:
        return None
    shares = ", ".join(f"{name} {max(0.0, part.explained or 0.0):.0%}" for name, part in weak.items())
    worst = min(weak, key=lambda name: weak[name].explained or 0.0)
    return (
        f"the codes explain little of held-out sketches ({shares}; {WEAK:.0%} is the least to go on with): what they "
        f"leave out will not reach the faces; look at {weak[worst].found.path.parent.parent / 'samples'}, and train "
        f"longer, all of it (a new --run, more --max-minutes) or one part (--stage ce --part {worst}), or try a larger "
        "ink_weight or latent"
    )


def write(parts: Mapping[str, Part], run: Path) -> Path:
    """Write the five encoders as stage 2 loads them, and beside them the image decoders; return the encoders' file.

    The bytes depend on nothing but the weights.
    """
    from safetensors.torch import save

    notes: dict[str, Any] = {
        name: {"images": part.found.images, "explained": part.explained} for name, part in parts.items()
    }
    run_dir.make(run)
    with run_dir.disk_errors(run):
        for file, half in ((DECODERS, "decoder"), (ENCODERS, "encoder")):
            halves = {name: part.tensors(half) for name, part in parts.items()}
            tensors = {f"parts.{name}.{key}": v for name, values in halves.items() for key, v in values.items()}
            data = save(tensors, metadata={"sketchprep": json.dumps(notes, sort_keys=True)})
            with atomic(run / file) as temporary:
                temporary.write_bytes(data)
    return run / ENCODERS


def write_untrained(settings: Settings, folder: Path) -> Path:
    """Write encoders and image decoders that have learnt nothing, for measuring what stage 2 costs."""
    from safetensors.torch import save_file

    from sketchprep.models.deepfacedrawing.networks.modules import Encoders, ImageDecoder

    shape = settings.architecture()
    save_file(Encoders(shape).state_dict(), folder / ENCODERS)
    decoders = {part: ImageDecoder(part, shape).state_dict() for part in PARTS}
    tensors = {f"parts.{part}.{key}": value for part, state in decoders.items() for key, value in state.items()}
    save_file(tensors, folder / DECODERS)
    return folder / ENCODERS
