"""DeepFaceDrawing's two stages so small that tests train them in moments.  Run as a script, it trains one of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import yaml

from sketchprep.models.deepfacedrawing.training.component_embedding import CeTask
from sketchprep.models.deepfacedrawing.training.image_synthesis import FmIsTask
from sketchprep.models.deepfacedrawing.training.settings import Settings
from sketchprep.training.options import Options, Schedule
from sketchprep.training.paired_data import PairedFaces, held_out
from sketchprep.training.task import Task

SIZE = 64
SMALL: dict[str, Any] = {
    "size": SIZE, "latent": 16, "width": 4, "innermost": 8, "narrow": 4, "fm_channels": 4, "fm_width": 4, "ngf": 4,
    "downs": 2, "blocks": 1, "ndf": 4, "scales": 2, "perceptual": 0,
}  # fmt: skip
QUICK = Options(
    images=48, batch=4, precision="float32", device="cpu", threads=1, stats_every=16, samples_every=1_000,
    save_every=16, keep=9, schedule=Schedule(kind="linear", hold=0.5), ema_half_life=8,
)  # fmt: skip


def write_encoders(path: Path, settings: Settings) -> Path:
    """Encoders that have learnt nothing, but whose BatchNorm has seen something; image decoders beside them."""
    from safetensors.torch import save_file

    from sketchprep.models.deepfacedrawing.networks.modules import Encoders
    from sketchprep.models.deepfacedrawing.training.stage1_weights import write_untrained

    torch.manual_seed(5)
    write_untrained(settings, path.parent)
    encoders = Encoders(settings.architecture())
    encoders(torch.rand(4, 1, settings.size, settings.size) * 2 - 1)
    save_file(encoders.state_dict(), path)
    return path


def small_task(stage: str, data: Path, encoders: Path, **values: Any) -> Task:
    settings = Settings.model_validate({**SMALL, **values})
    photos = stage == "fm-is"
    faces = PairedFaces(data, size=settings.size, photos=photos, augment=settings.augment)
    others = held_out(data, size=settings.size, photos=photos)
    if stage == "ce":
        return CeTask(settings, faces, others)
    return FmIsTask(settings, faces, encoders, held_out=others)


def main() -> None:
    """``small_stages.py STAGE DATA ENCODERS RUN [key=value …]``: train."""
    from sketchprep.training.devices import leave_together
    from sketchprep.training.loop import fit

    stage, data, encoders, run = sys.argv[1:5]
    changes = {key: yaml.safe_load(value) for key, value in (text.split("=", 1) for text in sys.argv[5:])}
    own = {key: changes.pop(key) for key in list(changes) if key not in Options.model_fields}
    options = Options.model_validate({**QUICK.model_dump(), **changes})
    result = fit(small_task(stage, Path(data), Path(encoders), **own), Path(run), options)
    leave_together()
    sys.exit(result.exit_code)


if __name__ == "__main__":
    main()
