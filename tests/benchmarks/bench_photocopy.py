"""Photocopy against GEGL's own operation at 1024 x 1024 on one thread, interleaved in one run.

GEGL runs inside this process through its C library, with 8-bit sRGB as input as here; its output stays a linear
float buffer, ours is encoded to 8 bits as well.  Usage: python tests/benchmarks/bench_photocopy.py [ROUNDS]
"""

import os

# Read when the libraries load.
os.environ.update(GEGL_THREADS="1", GEGL_USE_OPENCL="no", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import ctypes
import statistics
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np

from sketchprep import resources
from sketchprep.ops.photocopy import photocopy

SIZE = 1024


class Rectangle(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int) for name in ("x", "y", "width", "height"))


class Gegl:
    """GEGL's photocopy at its default settings on one picture."""

    def __init__(self, image: np.ndarray) -> None:
        self.library, self.objects = ctypes.CDLL("libgegl-0.4.so.0"), ctypes.CDLL("libgobject-2.0.so.0")
        babl, pointer = ctypes.CDLL("libbabl-0.1.so.0"), ctypes.c_void_p
        for function in (self.library.gegl_config, self.library.gegl_buffer_new, self.library.gegl_filter_op):
            function.restype = pointer
        babl.babl_format.restype = pointer
        self.library.gegl_init(None, None)
        # GPL operations load only for a program that says it is under that licence itself; this one talks to the
        # library for a measurement and ships none of it.
        self.objects.g_object_set(pointer(self.library.gegl_config()), b"application-license", b"GPL3", None)
        box = Rectangle(0, 0, image.shape[1], image.shape[0])
        rgb = pointer(babl.babl_format(b"R'G'B' u8"))
        self.picture = pointer(self.library.gegl_buffer_new(ctypes.byref(box), rgb))
        data = pointer(image.ctypes.data)
        self.library.gegl_buffer_set(self.picture, ctypes.byref(box), 0, rgb, data, 0)

    def operation(self, name: bytes) -> None:
        result = self.library.gegl_filter_op(self.picture, name, None)
        self.objects.g_object_unref(ctypes.c_void_p(result))


def milliseconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return 1e3 * (time.process_time() - start)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    cv2.setNumThreads(1)
    path = sorted(resources.resource("data/portraits").glob("*.jpg"))[0]
    image = cv2.resize(cv2.imread(str(path))[..., ::-1], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    gegl = Gegl(image)
    runs = {
        "ours": lambda: photocopy(image),
        "operation": lambda: gegl.operation(b"gegl:photocopy"),
        "no-op": lambda: gegl.operation(b"gegl:nop"),
        "classic": lambda: photocopy(image, variant="classic"),
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 2):
        for name, run in runs.items():
            elapsed = milliseconds(run)
            if turn >= 2:
                taken[name].append(elapsed)
    theirs = [operation - nothing for operation, nothing in zip(taken["operation"], taken["no-op"], strict=True)]
    ratios = [other / own for other, own in zip(theirs, taken["ours"], strict=True)]
    print(f"Photocopy, {SIZE} x {SIZE} RGB, one thread, CPU time, median (least) of {rounds} interleaved rounds\n")
    print("| | ms |\n|---|---|")
    rows = (
        ("sketchprep `gegl`", taken["ours"]),
        ("sketchprep `classic`", taken["classic"]),
        ("GEGL, less a no-op", theirs),
    )
    for name, values in rows:
        print(f"| {name} | {statistics.median(values):.1f} ({min(values):.1f}) |")
    print(f"\nGEGL / sketchprep: median ratio {statistics.median(ratios):.2f} (least {min(ratios):.2f})")


if __name__ == "__main__":
    main()
