"""The simplifier against HED in OpenCV's dnn module (ENGINE_CLASSIC), interleaved in one run.

python tests/benchmarks/bench_simplify.py [--rounds 12] [--threads 1 2] [--size 512] [--weights PATH]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from interleaved import opencv_hed, photo_of, set_threads, take_turns

ENGINES = ("HED, OpenCV dnn", "simplifier, float32", "simplifier, bfloat16")


def make(size: int, weights: Path) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """From one RGB photo to one map, by engine."""
    from sketchprep.nn import simplifier

    nets = [simplifier.load_simplifier(weights, dtype=dtype) for dtype in ("float32", "bfloat16")]
    own = [lambda photo, net=net: simplifier.sketch(net, photo[None])[0] for net in nets]
    return dict(zip(ENGINES, [opencv_hed(size), *own], strict=True))


def main() -> None:
    from sketchprep.core import runtime
    from sketchprep.nn.simplifier import Simplifier, save_simplifier

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
    photo = photo_of(options.size)
    native = "in hardware" if runtime.has_native_bf16() else "emulated"
    print(f"{options.size}x{options.size}, {options.rounds} interleaved rounds, bfloat16 {native}\n")
    print("| Threads | Engine | ms (median) | Share of HED's time, median | min | max |")
    print("|---|---|---|---|---|---|")
    for threads in options.threads:
        set_threads(threads)
        seconds = take_turns({engine: partial(run, photo) for engine, run in runs.items()}, options.rounds)
        for engine, own in seconds.items():
            shares = [mine / hed for mine, hed in zip(own, seconds[ENGINES[0]], strict=True)]
            print(
                f"| {threads} | {engine} | {1000 * statistics.median(own):.0f} | 1/{1 / statistics.median(shares):.1f} "
                f"| 1/{1 / min(shares):.1f} | 1/{1 / max(shares):.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
