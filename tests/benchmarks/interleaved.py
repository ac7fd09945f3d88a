"""What the benchmarks share: runs that take turns, one number of threads, a photo, HED as OpenCV runs it."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

REFERENCE = Path(__file__).resolve().parents[1] / "helpers" / "hed_onnx.py"


def take_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each run, one after the other in every round, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def set_threads(count: int) -> None:
    """The same number of threads for both libraries."""
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count)


def photo_of(size: int) -> np.ndarray:
    """A bundled portrait, RGB."""
    from sketchprep.core.resources import resource

    file = sorted(resource("data/portraits").glob("*.jpg"))[0]
    picture = cv2.resize(cv2.imread(str(file)), (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture[..., ::-1])


def opencv_hed(size: int) -> Callable[[np.ndarray], np.ndarray]:
    """From one RGB photo to HED's probability map, by OpenCV's dnn module."""
    from sketchprep.core import weights

    spec = importlib.util.spec_from_file_location(REFERENCE.stem, REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.OpenCVHED(weights.path("hed"), size, size)


def memory(key: str) -> int:
    """Bytes of this process: ``VmRSS``, or ``VmHWM`` for the most it had (getrusage would count the parent's too)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[key].split()[0]) * 1024
