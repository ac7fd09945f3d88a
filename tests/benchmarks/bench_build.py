"""Whole builds against the bare ops: overhead, scaling over processes, and memory.

An aligned corpus of 1024-px JPEGs is drawn from the bundled portraits (CelebAMask-HQ's layout), or named with --root.
The recipe is photocopy + canny at 512 px with landmarks.  Everything is measured in one run, in turns.

    python tests/benchmarks/bench_build.py [--photos 240] [--rounds 3] [--root DIR]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = {
    "name": "bench",
    "sources": ["celebamask-hq"],
    "size": 512,
    "shard_size": 20,
    "select": {"min_face_score": None},  # the bare ops look for no faces; see bench_faces for what that costs
    "stages": {"photocopy": {}, "canny": {}},
    "sketch": "photocopy",
    "store": ["canny"],
    "split": {"method": "none"},
}

CHILD = """
import json, sys, time
import sketchprep
recipe, root, out, jobs = json.loads(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])
start = time.perf_counter()
sketchprep.build(recipe=recipe, root=root, out=out, jobs=jobs, quiet=True)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds}))
"""


def draw_corpus(root: Path, count: int) -> None:
    """Distinct 1024-px photos in CelebAMask-HQ's layout: aligned portraits at slightly different sizes."""
    import cv2

    import sketchprep
    from sketchprep.core.resources import resource as shipped
    from sketchprep.io import images

    folder = root / "CelebA-HQ-img"
    folder.mkdir(parents=True)
    files = sorted(shipped("data/portraits").glob("*.jpg"))[:count]
    portraits = [sketchprep.align(path, size=1024).image for path in files]
    for number in range(count):
        image = portraits[number % len(portraits)]
        shave = number // len(portraits) + 1
        image = cv2.resize(image[shave:-shave, shave:-shave], (1024, 1024), interpolation=cv2.INTER_CUBIC)
        (folder / f"{number}.jpg").write_bytes(images.encode_jpeg(image, quality=92))


def bare_ops(root: Path, limit: int) -> float:
    """Seconds a photo that the ops alone take, one after the other on one thread."""
    import cv2

    from sketchprep.core import weights
    from sketchprep.io import images
    from sketchprep.ops.canny import canny
    from sketchprep.ops.photocopy import photocopy
    from sketchprep.ops.resize import resize
    from sketchprep.sketching.landmarks import Landmarker

    cv2.setNumThreads(1)
    landmarker = Landmarker(weights.path("dlib-landmarks-68"))
    files = sorted((root / "CelebA-HQ-img").glob("*.jpg"))[:limit]
    landmarker.frame_points(images.decode(files[0].read_bytes()))  # loads the predictor
    start = time.perf_counter()
    for path in files:
        photo = resize(images.decode(path.read_bytes()), (512, 512))
        landmarker.frame_points(photo)
        sketch, edges = photocopy(photo), canny(photo)
        images.encode_jpeg(photo), images.encode_png(sketch), images.encode_png(edges)
    return (time.perf_counter() - start) / len(files)


def run(root: Path, out: Path, jobs: int) -> dict[str, float]:
    command = [sys.executable, "-c", CHILD, json.dumps(RECIPE), str(root), str(out), str(jobs)]
    return json.loads(subprocess.check_output(command))


def reports(out: Path) -> list[dict]:
    """What the shards said of themselves."""
    return [json.loads(p.read_text()) for p in sorted((out / "log").glob("*.json"))]


def steady_rate(out: Path) -> float:
    """Photos a second while all workers were busy: from the shards' own clocks, the first of each worker left out."""
    found = reports(out)
    firsts = {}
    for report in sorted(found, key=lambda r: r["started"]):
        firsts.setdefault(report["pid"], report)
    later = [r for r in found if r is not firsts[r["pid"]]]
    begin = max(min(r["started"] for r in later if r["pid"] == pid) for pid in firsts)
    end = min(max(r["updated"] for r in later if r["pid"] == pid) for pid in firsts)
    done = 0.0
    for r in later:
        overlap = max(0.0, min(end, r["updated"]) - max(begin, r["started"]))
        done += r["total"] * overlap / (r["updated"] - r["started"])
    return done / (end - begin)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--root", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.root or Path(folder) / "corpus"
        if arguments.root is None:
            draw_corpus(root, arguments.photos)
        count = len(list((root / "CelebA-HQ-img").glob("*.jpg")))
        overhead: dict[int, list[float]] = {1: [], 2: []}
        rates: dict[int, list[float]] = {1: [], 2: []}
        memory: dict[int, float] = {}
        ops = []
        for turn in range(arguments.rounds):
            ops.append(bare_ops(root, min(count, 60)))
            for jobs in (1, 2):
                out = Path(folder) / f"out-{turn}-{jobs}"
                result = run(root, out, jobs)
                overhead[jobs].append(result["seconds"] * jobs / (count * ops[-1]))
                rates[jobs].append(steady_rate(out))
                memory[jobs] = max(r["peak_mb"] for r in reports(out))
        print(f"{count} photos 1024 → 512 px, photocopy + canny + landmarks; medians of {arguments.rounds} rounds\n")
        print(f"bare ops: {1000 * statistics.median(ops):.1f} ms a photo on one thread\n")
        print("| processes | wall × processes / bare ops | photos/s, steady | peak RSS of one process |")
        print("|---|---|---|---|")
        for jobs in (1, 2):
            ratio, rate = statistics.median(overhead[jobs]), statistics.median(rates[jobs])
            print(f"| {jobs} | {ratio:.2f} | {rate:.1f} | {memory[jobs]:.0f} MB |")
        ratios = [b / a for a, b in zip(rates[1], rates[2], strict=True)]
        print(f"\n-j2 / -j1, steady: {statistics.median(ratios):.2f} (min {min(ratios):.2f}, max {max(ratios):.2f})")


if __name__ == "__main__":
    main()
