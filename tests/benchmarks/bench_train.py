"""Training of DeepFaceDrawing: images/s and peak memory of each stage against a plain eager float32 loop, in one run.

python tests/benchmarks/bench_train.py [--sizes 128 256] [--batches 1 4] [--seconds 10] [--rounds 2] [--device cpu]

The plain loop trains the same networks with the same losses on the same pictures, as one would write it down: float32,
default memory format, pictures decoded between the steps.  Each measurement is a process of its own, so that its peak
memory is its own; the two loops take turns.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PRESETS = {128: "tiny", 256: "small", 512: "paper"}
LOOPS = ("plain float32 eager", "sketchprep", "sketchprep, compiled")


def make_task(stage: str, size: int, data: Path, folder: Path) -> tuple[Any, Any]:
    """The task of a stage with the preset of this size, and its options."""
    from sketchprep.models.deepfacedrawing.training import stage1_weights
    from sketchprep.models.deepfacedrawing.training.component_embedding import CeTask
    from sketchprep.models.deepfacedrawing.training.image_synthesis import FmIsTask
    from sketchprep.models.deepfacedrawing.training.settings import Settings
    from sketchprep.training import presets
    from sketchprep.training.paired_data import PairedFaces, held_out

    options, settings = presets.load("deepfacedrawing", PRESETS[size], Settings, stage=stage)
    kinds: dict[str, Any] = {"size": size, "sketch": settings.sketch, "photos": stage == "fm-is"}
    faces, others = PairedFaces(data, **kinds), held_out(data, **kinds)
    if stage == "ce":
        return CeTask(settings, faces, others), options
    return FmIsTask(settings, faces, stage1_weights.write_untrained(settings, folder), held_out=others), options


def plain(task: Any, options: Any, seconds: float, device: str) -> dict[str, float]:
    """Images per second of a loop without any of the trainer's means."""
    import torch

    phases, modules = task.phases(), task.modules()
    optimisers: dict[str, Any] = {}
    for module in modules.values():
        module.to(device).train()
    for phase in phases:
        shared = isinstance(phase.optimiser, str)
        parameters = [p for name in phase.modules for p in modules[name].parameters()]
        optimisers[phase.name] = optimisers[phase.optimiser] if shared else phase.optimiser(parameters)

    def step(number: int) -> None:
        arrays = task.batch(range(number * options.batch, (number + 1) * options.batch))
        batch = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        for phase in phases:
            if number % phase.every:
                continue
            for name, module in modules.items():
                module.requires_grad_(name in phase.modules)
            optimisers[phase.name].zero_grad()
            losses = phase.loss(modules, batch)
            sum(phase.weights.get(name, 1.0) * value for name, value in losses.items()).backward()
            optimisers[phase.name].step()

    return timed(step, options.batch, seconds, device)


def timed(step: Any, batch: int, seconds: float, device: str) -> dict[str, float]:
    """Run steps for some seconds after a few to warm up."""
    import torch

    done, start = -3, time.perf_counter()
    while done < 4 or time.perf_counter() - start < seconds:
        if done == 0:
            if device != "cpu":
                torch.cuda.synchronize()
            start = time.perf_counter()
        step(done + 3)
        done += 1
    if device != "cpu":
        torch.cuda.synchronize()
    return {"rate": done * batch / (time.perf_counter() - start), "waiting": 0.0}


def ours(task: Any, options: Any, seconds: float) -> dict[str, float]:
    """Images per second of the trainer's own measurement, and the share of time spent waiting for data."""
    from sketchprep.training import budget

    budget.SECONDS = seconds
    cost = budget.dry_run(task, options)
    return {"rate": cost.images_per_second, "waiting": cost.waiting}


def child(words: dict[str, Any]) -> None:
    """Measure one cell and print it."""
    from sketchprep.training import devices

    devices.patient_threads()
    with tempfile.TemporaryDirectory() as folder:
        measure_here(words, *make_task(words["stage"], words["size"], Path(words["data"]), Path(folder)))


def measure_here(words: dict[str, Any], task: Any, options: Any) -> None:
    """Measure one cell in this process and print it."""
    changes = {
        "batch": words["batch"],
        "accumulate": 1,
        "device": words["device"],
        "compile": words["loop"] == LOOPS[2],
    }
    options = options.model_copy(update=changes)
    if words["loop"] == LOOPS[0]:
        result = plain(task, options, words["seconds"], words["device"])
    else:
        result = ours(task, options, words["seconds"])
    if words["device"] == "cpu":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    else:
        import torch

        peak = torch.cuda.max_memory_allocated()
    print(json.dumps({**result, "peak": peak}))


def measure(words: dict[str, Any]) -> dict[str, float]:
    """Measure one cell in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(words)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256], choices=PRESETS)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(json.loads(options.child))
        return
    loops = LOOPS[: 2 if options.no_compile else 3]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        build(data, max(options.sizes))
        print("| Stage | Size | Batch | Loop | images/s | × plain | waiting for data | peak memory, MB |")
        print("|---|---|---|---|---|---|---|---|")
        for stage in ("ce", "fm-is"):
            for size in options.sizes:
                for batch in options.batches:
                    words = {"stage": stage, "size": size, "batch": batch, "data": str(data)}
                    words |= {"seconds": options.seconds, "device": options.device}
                    rounds = [{loop: measure({**words, "loop": loop}) for loop in loops} for _ in range(options.rounds)]
                    show(words, rounds)


def show(words: dict[str, Any], rounds: list[dict[str, dict[str, float]]]) -> None:
    """Print the rows of one cell."""
    for loop in rounds[0]:
        rate = statistics.median(r[loop]["rate"] for r in rounds)
        ratio = statistics.median(r[loop]["rate"] / r[LOOPS[0]]["rate"] for r in rounds)
        waiting = statistics.median(r[loop]["waiting"] for r in rounds)
        peak = max(r[loop]["peak"] for r in rounds) / 1e6
        print(
            f"| {words['stage']} | {words['size']} | {words['batch']} | {loop} | {rate:.1f} | {ratio:.2f} "
            f"| {'' if loop == LOOPS[0] else f'{waiting:.1%}'} | {peak:,.0f} |",
            flush=True,
        )


def build(out: Path, size: int) -> None:
    """A dataset of the bundled portraits."""
    import sketchprep

    size = max(size, 256)
    overrides = [f"size={size}", "store=[photocopy]", "upscale=true"]
    sketchprep.build("portraits", out=out, overrides=overrides, jobs=2, quiet=True)


if __name__ == "__main__":
    main()
