"""From a sketch to a face: time of each step and memory, for presets with untrained weights and a bank of random codes.

python tests/benchmarks/bench_draw.py [--presets tiny small] [--threads 2] [--faces 17703] [--rounds 15]

Speed does not depend on what the weights have learnt.  The steps take turns in one process for each preset; memory is
the most that process had, less what it took before the model was loaded.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from interleaved import memory, set_threads, take_turns

from sketchprep.models.deepfacedrawing.drawing.bank import make_bank
from sketchprep.models.deepfacedrawing.drawing.shadow import shadows
from sketchprep.models.deepfacedrawing.drawing.synthesizer import Synthesizer, encoders_digest
from sketchprep.models.deepfacedrawing.networks.model import build, load_face_model, save_face_model
from sketchprep.models.deepfacedrawing.networks.modules import Architecture
from sketchprep.models.deepfacedrawing.training.settings import Settings
from sketchprep.training import presets

HERE = Path(__file__).resolve()
STEPS = ("draw", "encode", "project", "faces", "shadow", "batch of 8")


def architecture(preset: str) -> Architecture:
    """The networks that a preset trains."""
    _, settings = presets.load("deepfacedrawing", preset, Settings, stage="fm-is")
    return settings.architecture()


def weights_of(preset: str) -> str:
    """Numbers of weights in millions, without making any of them."""
    with torch.device("meta"):
        networks = build(architecture(preset))
    counts = {name: sum(p.numel() for p in net.parameters()) for name, net in networks.items()}
    each = ", ".join(f"{name.replace('_', ' ')} {count / 1e6:.1f}" for name, count in counts.items())
    return f"`{preset}` has {sum(counts.values()) / 1e6:.1f} million weights ({each})"


def an_artist(preset: str, faces: int, folder: Path) -> Synthesizer:
    """A model read from its file, and a bank that fits it."""
    shape, path = architecture(preset), folder / "deepfacedrawing.safetensors"
    torch.manual_seed(0)
    save_face_model(build(shape).state_dict(), shape, path)
    model = load_face_model(path)
    codes = torch.randn(5, faces, shape.latent).transpose(0, 1)
    return Synthesizer(model, make_bank(codes, [str(number) for number in range(faces)], encoders_digest(model)))


def measure(preset: str, faces: int, threads: int, rounds: int) -> None:
    """Child of `main`: print a row."""
    set_threads(threads)
    before = memory("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        synthesizer = an_artist(preset, faces, Path(folder))
    sketch = np.full((1, synthesizer.size, synthesizer.size), 255, np.uint8)
    sketch[:, ::9] = 0  # ink in every part
    codes = synthesizer.encode(sketch)
    projection = synthesizer.project(codes)
    runs = {
        "draw": lambda: synthesizer.synthesize(sketch),
        "encode": lambda: synthesizer.encode(sketch),
        "project": lambda: synthesizer.project(codes),
        "faces": lambda: synthesizer.faces(codes),
        "shadow": lambda: shadows(synthesizer, projection),
        "batch of 8": lambda: synthesizer.synthesize(sketch.repeat(8, axis=0)),
    }
    seconds = take_turns(runs, rounds)
    cells = [f"{1000 * statistics.median(seconds[step]):.0f} ({1000 * min(seconds[step]):.0f})" for step in STEPS]
    print(f"| `{preset}`, {synthesizer.size} px | {' | '.join(cells)} | {(memory('VmHWM') - before) / 1e6:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["tiny", "small"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--faces", type=int, default=17_703)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        measure(options.alone, options.faces, options.threads, options.rounds)
        return
    print(f"Bank of {options.faces:,} faces, {options.threads} threads, {options.rounds} rounds; ms: median (least)\n")
    names = ["sketch to face", *STEPS[1:]]
    print(f"| Preset | {' | '.join(names)} | memory, MB |\n|---|{'---|' * (len(names) + 1)}", flush=True)
    for preset in options.presets:
        same = [f"--{name}={getattr(options, name)}" for name in ("threads", "faces", "rounds")]
        subprocess.run([sys.executable, str(HERE), f"--alone={preset}", *same], check=True)
    print("\n" + "; ".join(weights_of(preset) for preset in options.presets) + ".")


if __name__ == "__main__":
    main()
