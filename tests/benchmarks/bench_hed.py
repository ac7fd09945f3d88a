"""HED at 512x512 against OpenCV's dnn module (ENGINE_CLASSIC), interleaved in one run.

python tests/benchmarks/bench_hed.py [--rounds 12] [--threads 1 2] [--size 512]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from interleaved import memory, opencv_hed, photo_of, set_threads, take_turns

HERE = Path(__file__).resolve()
ENGINES = ("opencv", "float32", "bfloat16")


def make(engine: str, size: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from one photo to its probability map."""
    from sketchprep.core import weights
    from sketchprep.nn import hed

    if engine == "opencv":
        return opencv_hed(size)
    net = hed.load_hed(weights.path("hed"), dtype=engine)
    return lambda photo: hed.probability(net, photo[None])[0]


def peak_rss(engine: str, size: int, threads: int) -> float:
    """Peak memory in MB of a fresh process that runs two pictures with one engine."""
    command = [sys.executable, str(HERE), "--alone", engine, "--size", str(size), "--threads", str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def alone(engine: str, size: int, threads: int) -> None:
    """Child of `peak_rss`."""
    if engine == "opencv":
        cv2.setNumThreads(threads)
    else:
        set_threads(threads)
    run, photo = make(engine, size), photo_of(size)
    for _ in range(2):
        run(photo)
    print(memory("VmHWM") / 2**20)


def measure(size: int, threads: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each engine."""
    set_threads(threads)
    photo = photo_of(size)
    engines = {engine: make(engine, size) for engine in ENGINES}
    return take_turns({engine: partial(run, photo) for engine, run in engines.items()}, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--alone", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        alone(options.alone, options.size, options.threads[0])
        return
    photo = photo_of(options.size)
    maps = {engine: make(engine, options.size)(photo) for engine in ENGINES}
    print(f"HED, {options.size}x{options.size}, {options.rounds} interleaved rounds, ratio = OpenCV time / ours\n")
    print("| Threads | Engine | ms (median) | Ratio median | min | max | Peak RSS, MB | max abs difference |")
    print("|---|---|---|---|---|---|---|---|")
    for threads in options.threads:
        seconds = measure(options.size, threads, options.rounds)
        for engine in ENGINES:
            ratios = [theirs / ours for theirs, ours in zip(seconds["opencv"], seconds[engine], strict=True)]
            milliseconds = 1000 * statistics.median(seconds[engine])
            difference = float(np.abs(maps[engine] - maps["float32"]).max())
            print(
                f"| {threads} | {engine} | {milliseconds:.0f} | {statistics.median(ratios):.2f} | {min(ratios):.2f} "
                f"| {max(ratios):.2f} | {peak_rss(engine, options.size, threads):.0f} | {difference:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
