"""A process that was forked from one at work: it works too, or says what it lacks; it never waits for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml
from quick import QUICK

COMMON = """
import multiprocessing, sys
import cv2, numpy as np, torch, yaml
import sketchprep
from sketchprep.errors import UserError

recipe, photos, out = yaml.safe_load(open(sys.argv[1])), sys.argv[2], sys.argv[3]

def build(name, jobs, **changes):
    sketchprep.build(recipe={**recipe, **changes}, root=photos, out=f"{out}/{name}", jobs=jobs, limit=1, quiet=True)

def child(work):
    try:
        work()
    except UserError as error:
        print("said:", error, flush=True)
    else:
        print("done", flush=True)

def fork(work):
    process = multiprocessing.get_context("fork").Process(target=child, args=(work,))
    process.start()
    process.join(60)
    if process.exitcode is None:
        process.kill()
        print("hangs", flush=True)
"""
NETWORK = """
image = np.full((96, 96), 255, np.uint8)
image[40:50] = 0
torch.set_num_threads(2)
sketchprep.sketch(image, "simplify")
fork(lambda: sketchprep.sketch(image, "simplify"))
"""
BUILDS = """
cv2.setNumThreads(2)
cv2.blur(np.zeros((2000, 2000, 3), np.uint8), (31, 31))  # its threads are there now
fork(lambda: build("a", 1))
fork(lambda: build("b", 1, threads=2))
build("c", 2)
fork(lambda: build("d", 2))
build("e", 2)
"""


def output(program: str, photos: Path, tmp_path: Path) -> list[str]:
    (tmp_path / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    words = [sys.executable, "-c", COMMON + program, str(tmp_path / "quick.yaml"), str(photos), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_network_runs_in_a_fork_of_a_process_that_ran_one(tmp_path: Path) -> None:
    assert output(NETWORK, tmp_path, tmp_path) == ["done"]


def test_a_build_runs_in_a_fork_or_says_that_it_lacks_workers(photos: Path, tmp_path: Path) -> None:
    built, threads, workers = output(BUILDS, photos, tmp_path)
    assert built == "done"
    assert threads.startswith("said: threads=2: this process was forked")
    assert workers.startswith("said: jobs=2: this process was forked")
    assert (tmp_path / "e" / "index.parquet").is_file()
