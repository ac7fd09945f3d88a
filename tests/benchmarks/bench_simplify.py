"""The simplifier against HED in OpenCV's dnn module (ENGINE_CLASSIC), interleaved in one run.

python tests/benchmarks/bench_simplify.py [--rounds 12] [--threads 1 2] [--size 512] [--weights PATH]
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np

HERE = Path(__file__).resolve()
ENGINES = ("HED, OpenCV dnn", "simplifier, float32", "simplifier, bfloat16")


def load_script(path: Path) -> ModuleType:
    """A script beside the package, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(size: int, weights: Path) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """From one RGB photo to one map, by engine."""
    from sketchprep import assets
    from sketchprep.models import simplifier

    hed = load_script(HERE.parents[1] / "reference" / "hed_onnx.py").OpenCVHED(assets.path("hed"), size, size)
    nets = [simplifier.load_simplifier(weights, dtype=dtype) for dtype in ("float32", "bfloat16")]
    own = [lambda photo, net=net: simplifier.sketch(net, photo[None])[0] for net in nets]
    return dict(zip(ENGINES, [hed, *own], strict=True))


def measure(runs: dict[str, Callable[[np.ndarray], np.ndarray]], size: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each engine, one after the other in every round, after one warm-up round."""
    photo = load_script(HERE.with_name("bench_hed.py")).photo_of(size)
    seconds: dict[str, list[float]] = {engine: [] for engine in runs}
    for turn in range(rounds + 1):
        for engine, run in runs.items():
            start = time.perf_counter()
            run(photo)
            if turn:
                seconds[engine].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    import torch

    from sketchprep import host
    from sketchprep.models.simplifier import Simplifier, save_simplifier

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--weights", type=Path, help="Default: random ones; the time does not depend on them.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.weights is None:
            options.weights = Path(folder) / "random.safetensors"
            save_simplifier(Simplifier(), options.weights)
        runs = make(options.size, options.weights)
    native = "in hardware" if host.has_native_bf16() else "emulated"
    print(f"{options.size}x{options.size}, {options.rounds} interleaved rounds, bfloat16 {native}\n")
    print("| Threads | Engine | ms (median) | Share of HED's time, median | min | max |")
    print("|---|---|---|---|---|---|")
    for threads in options.threads:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        seconds = measure(runs, options.size, options.rounds)
        for engine, own in seconds.items():
            shares = [mine / hed for mine, hed in zip(own, seconds[ENGINES[0]], strict=True)]
            print(
                f"| {threads} | {engine} | {1000 * statistics.median(own):.0f} | 1/{1 / statistics.median(shares):.1f} "
                f"| 1/{1 / min(shares):.1f} | 1/{1 / max(shares):.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
