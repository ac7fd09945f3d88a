"""Photocopy against GEGL's own operation at 1024 x 1024 on one thread, interleaved in one run.

GEGL's program spends most of its time on starting, so the operation is timed as the difference between chains of six
and of one photocopy, by the CPU time of the processes; in a chain it gets linear grey floats and need not decode or
encode sRGB, which we do.  Usage: python tests/benchmarks/bench_photocopy.py [ROUNDS]
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from sketchprep.core import resources
from sketchprep.ops.photocopy import photocopy

SIZE = 1024
CHAIN = 6
REPEAT = 5


def own_time(image: np.ndarray, **options: str) -> float:
    """Milliseconds of CPU for one call."""
    start = time.process_time()
    for _ in range(REPEAT):
        photocopy(image, **options)
    return 1e3 * (time.process_time() - start) / REPEAT


def gegl_time(folder: Path, count: int) -> float:
    """Milliseconds of CPU for GEGL's program with so many photocopies in a row, start-up and files included."""
    environment = dict(os.environ, GEGL_THREADS="1", GEGL_USE_OPENCL="no")
    command = ["gegl", str(folder / "in.ppm"), "-o", str(folder / "out.ppm"), "--", *["photocopy"] * count]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def gegl_operation(folder: Path) -> float:
    return (gegl_time(folder, CHAIN) - gegl_time(folder, 1)) / (CHAIN - 1)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    cv2.setNumThreads(1)
    path = sorted(resources.resource("data/portraits").glob("*.jpg"))[0]
    picture = cv2.resize(cv2.imread(str(path)), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cv2.imwrite(str(folder / "in.ppm"), picture)
        runs: dict[str, Callable[[], float]] = {
            "sketchprep `gegl`": lambda: own_time(image),
            "sketchprep `classic`": lambda: own_time(image, variant="classic"),
            "GEGL's operation": lambda: gegl_operation(folder),
        }
        for run in runs.values():
            run()
        taken = [[run() for run in runs.values()] for _ in range(rounds)]
    print(f"Photocopy, {SIZE} x {SIZE} RGB, one thread, CPU time, {rounds} interleaved rounds\n")
    print("| | median ms | least ms | GEGL / this, median | least |\n|---|---|---|---|---|")
    for column, label in enumerate(runs):
        own = [row[column] for row in taken]
        ratios = [row[-1] / row[column] for row in taken]
        figures = (statistics.median(own), min(own), statistics.median(ratios), min(ratios))
        print(f"| {label} | {figures[0]:.1f} | {figures[1]:.1f} | {figures[2]:.2f} | {figures[3]:.2f} |")


if __name__ == "__main__":
    main()
