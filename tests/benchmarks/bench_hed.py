"""HED at 512x512 against OpenCV's dnn module (ENGINE_CLASSIC), interleaved in one run.

python tests/benchmarks/bench_hed.py [--rounds 12] [--threads 1 2] [--size 512]
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).resolve()
ENGINES = ("opencv", "float32", "bfloat16")


def photo_of(size: int) -> np.ndarray:
    """A bundled portrait, RGB."""
    from sketchprep.resources import resource

    file = sorted(resource("data/portraits").glob("*.jpg"))[0]
    picture = cv2.resize(cv2.imread(str(file)), (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture[..., ::-1])


def make(engine: str, size: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from one photo to its probability map."""
    from sketchprep import assets

    weights = assets.path("hed")
    if engine == "opencv":
        spec = importlib.util.spec_from_file_location("hed_onnx", HERE.parents[1] / "reference" / "hed_onnx.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.OpenCVHED(weights, size, size)
    from sketchprep.models import hed

    net = hed.load_hed(weights, dtype=engine)
    return lambda photo: hed.probability(net, photo[None])[0]


def set_threads(count: int) -> None:
    """The same number of threads for both libraries."""
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count)


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
    # Not getrusage: its maximum is inherited from the parent.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) / 1024)


def measure(size: int, threads: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each engine, one after the other in every round, after one warm-up round."""
    set_threads(threads)
    photo = photo_of(size)
    runs = {engine: make(engine, size) for engine in ENGINES}
    seconds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    for turn in range(rounds + 1):
        for engine, run in runs.items():
            start = time.perf_counter()
            run(photo)
            if turn:
                seconds[engine].append(time.perf_counter() - start)
    return seconds


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
