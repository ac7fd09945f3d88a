"""Plan, submission, merge and questions for millions of photos that nobody has: time and peak memory of each step.

A list of paths is planned and submitted to an `sbatch` that only records; every shard is finished with synthetic rows
(their own ids and digests, the landmarks and members of one real pair) and merged; then the dataset is asked.  Each
step is a process of its own.

    python tests/benchmarks/bench_scale.py [--rows 200000] [--shard-size 1000] [--shuffled] [--folder DIR]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

from quick import QUICK
from scale import Site, finish_shards

import sketchprep
from sketchprep.core.resources import resource

STEPS = {
    "nothing": "the imports alone",
    "submit": "plan and submit",
    "estimate": "`plan --list`",
    "task": "one array task reads ten shards' plan",
    "part": "`status`, all shards made, none merged",
    "merge": "merge, card, contact sheet",
    "status": "`status`",
    "failures": "`failures --kind pose`",
    "find": "`open_pairs(split)`, a pair by id",
    "resume": "the same command again, one shard lost",
}


def one_pair(folder: Path) -> Path:
    """A real dataset of a few portraits."""
    (folder / "portraits").mkdir()
    for path in sorted(resource("data/portraits").glob("*.jpg"))[:3]:
        shutil.copy(path, folder / "portraits")
    sketchprep.build(recipe=QUICK, root=folder / "portraits", out=folder / "like", jobs=1, quiet=True)
    return folder / "like"


def size_mb(path: Path) -> float:
    return path.stat().st_size / 1e6


def watch_cost(out: Path) -> str:
    """Seconds of the first look of `status --watch`, and of the next ones, at a build whose last shard is missing."""
    from sketchprep.datasets import plan
    from sketchprep.datasets.build.monitor import BuildWatcher

    watcher = BuildWatcher(out, plan.shard_sizes(out / "plan.parquet"))
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        watcher.look()
        seconds.append(time.perf_counter() - start)
    return f"first look {seconds[0]:.2f} s, every other {min(seconds[1:]):.3f} s"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--shard-size", type=int, default=1000)
    parser.add_argument("--shuffled", action="store_true", help="the list in no order")
    parser.add_argument("--folder", type=Path, help="where the disk space is; about 250 bytes a row are needed")
    arguments = parser.parse_args()
    if arguments.folder:
        Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        recipe = {**QUICK, "shard_size": arguments.shard_size, "split": {"test": 842, "of": 17_702}}
        site = Site(folder / "site", recipe, arguments.rows, shuffled=arguments.shuffled)
        like = one_pair(folder)
        print(f"{arguments.rows:,} rows, shards of {arguments.shard_size:,}\n")
        print("| step | seconds | of the processor | peak memory, MB |")
        print("|---|---|---|---|", flush=True)
        answers = {}
        for step, words in STEPS.items():
            if step == "part":
                finish_shards(site.out, like)
            elif step == "resume":
                max((site.out / "shards").glob("*.parquet")).unlink()
            (wall, cpu), memory, answers[step] = site.run(
                "submit" if step == "resume" else step.replace("part", "status")
            )
            print(f"| {words} | {wall:.1f} | {cpu:.1f} | {memory:.0f} |", flush=True)
        sizes = ", ".join(f"{p} {size_mb(site.out / p):,.1f} MB" for p in ("plan.parquet", "index.parquet"))
        print(f"\n{answers['submit'][2]:,} shards in {answers['submit'][0]:,} tasks; {sizes}")
        print(f"`status --watch`: {watch_cost(site.out)}\n\n{answers['estimate'].split('folder  ')[1]}")


if __name__ == "__main__":
    main()
