"""Datasets of any length for tests and benchmarks: a list of paths, Slurm's commands that only record, shards whose
rows repeat a real pair's under their own ids.

Every step runs in a process of its own, whose time and peak memory it returns.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sketchprep.datasets import plan
from sketchprep.datasets.schema import shard_schema
from sketchprep.io import shards
from sketchprep.io.tables import tables

SLURM = {
    "sbatch": '#!/bin/sh\nfor script; do :; done\n{ echo "$@"; grep "^#SBATCH --array" "$script"; } >> "$RECORD"\n'
    'wc -l < "$RECORD"\n',
    "scontrol": "#!/bin/sh\necho 'MaxArraySize            = 1001'\n",
    "squeue": "#!/bin/sh\n",
    "scancel": "#!/bin/sh\n",
}
REPEATED = (
    "members",
    "width",
    "height",
    "matrix",
    "landmarks",
    "face_score",
    "unseen",
    "pose",
    "attributes",
    "windows",
)

CHILD = """
import json, sys, time
words = json.loads(sys.argv[1])
from pathlib import Path
import sketchprep
from sketchprep.cli import main
from sketchprep.datasets import status
from sketchprep.datasets.build import build as builder, dry_run, request
start, worked, result = time.perf_counter(), time.process_time(), None
keys = ("recipe", "root", "photo_list")
if words["step"] == "estimate":
    asked = request.prepare(recipe_name=words["recipe"], root=words["root"], photo_list=words["photo_list"])
    result = dry_run.dry_run(asked)
elif words["step"] == "submit":
    options = {key: words[key] for key in keys}
    sent = sketchprep.build(**options, out=words["out"], executor="slurm", slurm=["cpus=1"], quiet=True).submitted
    result = [sent.tasks, sent.per_task, sent.shards] if sent else None
elif words["step"] == "task":
    from sketchprep.datasets.plan import read_shards, shard_names
    path = Path(words["out"]) / "plan.parquet"
    result = sum(map(len, read_shards(path, shard_names(path)[-10:]).values()))
elif words["step"] == "merge":
    result = builder.finish(Path(words["out"]))
elif words["step"] == "status":
    found = status.status(words["out"])
    result = [found.planned, found.pairs, found.rejected, found.complete]
elif words["step"] == "failures":
    result = status.failures_text(words["out"], kind="pose")
elif words["step"] == "find":
    pairs = sketchprep.open_pairs(words["out"], "train")
    last = pairs[len(pairs) - 1]
    result = [len(pairs), pairs.find(last.id).ordinal == last.ordinal]
elif words["step"] == "nothing":
    pass
seconds = [time.perf_counter() - start, time.process_time() - worked]
memory = open("/proc/self/status").read()  # getrusage would count what the parent held when it started this
print(json.dumps([seconds, int(memory.split("VmHWM:")[1].split()[0]) / 1024, result]))
"""


class Site:
    """A folder with a list of photos, and Slurm's commands that write down what they are asked.

    Parameters
    ----------
    folder : Path
        For everything.
    recipe : dict
        With the source ``folder``.
    rows : int
        Photos on the list; none of them exists.
    """

    def __init__(self, folder: Path, recipe: dict[str, Any], rows: int, *, shuffled: bool = False) -> None:
        self.folder, self.out, self.recipe = folder, folder / "data", recipe
        self.list, self.record = folder / "photos.txt", folder / "record"
        (folder / "photos").mkdir(parents=True)
        (folder / "bin").mkdir()
        for name, text in SLURM.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        write_list(self.list, rows, shuffled=shuffled)

    def run(self, step: str) -> tuple[list[float], float, Any]:
        """Run one step; return its seconds by the clock and of the processor, its peak memory in MB and its result."""
        words = {
            "step": step,
            "recipe": self.recipe,
            "root": str(self.folder / "photos"),
            "out": str(self.out),
            "photo_list": str(self.list),
        }
        env = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "RECORD": str(self.record)}
        command = [sys.executable, "-c", CHILD, json.dumps(words)]
        seconds, memory, result = json.loads(subprocess.check_output(command, text=True, env=env).splitlines()[-1])
        return seconds, memory, result


def write_list(path: Path, rows: int, *, shuffled: bool = False) -> None:
    """Paths such as ``0012/00012345.jpg``, in order or in an order that sorting must mend."""
    blocks = list(range(-(-rows // 1000)))
    if shuffled:
        random.Random(0).shuffle(blocks)
    with path.open("w") as file:
        for block in blocks:
            numbers = list(range(block * 1000, min(rows, block * 1000 + 1000)))
            if shuffled:
                random.Random(block).shuffle(numbers)
            file.writelines(f"{block:06d}/{number:09d}.jpg\n" for number in numbers)


def finish_shards(out: Path, like: Path, *, rejected: int = 50) -> int:
    """Finish every shard of a plan with the first pair of another dataset; one row in so many is rejected.

    Ids, ordinals and digests are the rows' own; members, landmarks, pose and windows repeat, so that the files stay
    small.  All tars are one file.

    Returns
    -------
    int
        Rows.
    """
    with pq.ParquetFile(like / "index.parquet") as file:
        pair = file.read_row_group(0).slice(0, 1)
    tar = out.parent / "one.tar"
    tar.write_bytes((like / "shards" / f"{pair['shard'][0].as_py()}.tar").read_bytes())
    same, count = _Repeated(pair, rejected), 0
    for name, planned in _planned(out / "plan.parquet"):
        table = same.rows(name, planned)
        failed = len(planned) - table["kind"].null_count
        pairs = len(planned) - failed
        meta = {"photos": len(planned), "pairs": pairs, "tar_bytes": tar.stat().st_size, "tar_sha256": ""}
        table = table.replace_schema_metadata({shards.META: json.dumps(meta, sort_keys=True).encode()})
        os.link(tar, out / "shards" / f"{name}.tar")
        pq.write_table(table, out / "shards" / f"{name}.parquet", compression="zstd")
        report = {"total": len(planned), "counts": {"pair": pairs, "rejected": failed}, "updated": 0}
        report |= {"seconds": {"decode": 0.01 * len(planned)}, "done": True}
        (out / "log" / f"{name}.json").write_text(json.dumps(report))
        count += len(planned)
    return count


def _planned(path: Path) -> Iterator[tuple[str, pa.Table]]:
    """Rows of every shard, in the order in which the plan completes them."""
    sizes = plan.shard_sizes(path)
    begun: dict[str, list[pa.Table]] = {}
    for table in tables(path, ["ordinal", "id", "shard"]):
        table = table.filter(pc.is_valid(table["shard"])).sort_by("shard").combine_chunks()
        found = pc.run_end_encode(table["shard"].combine_chunks()) if len(table) else None
        start = 0
        for name, end in zip(*_runs(found), strict=True):
            begun.setdefault(name, []).append(table.slice(start, end - start))
            start = end
            if sum(map(len, begun[name])) == sizes[name]:
                yield name, pa.concat_tables(begun.pop(name)).sort_by("ordinal")


def _runs(found: Any) -> tuple[list[str], list[int]]:
    return ([], []) if found is None else (found.values.to_pylist(), found.run_ends.to_pylist())


class _Repeated:
    """The columns of one pair, over and over, with a hole where a photo was rejected."""

    def __init__(self, pair: pa.Table, rejected: int) -> None:
        self._pair, self._rejected, self._columns = pair, rejected, dict[str, pa.Array]()
        self._count = -1

    def rows(self, name: str, planned: pa.Table) -> pa.Table:
        schema, count = shard_schema(), len(planned)
        if count != self._count:
            self._count, self._columns = count, self._made(count)
        ordinals = planned["ordinal"].to_pylist()
        columns = {
            **self._columns,
            "ordinal": planned["ordinal"],
            "id": planned["id"],
            "shard": pa.repeat(name, count),
            "split": pa.repeat(name.split("-")[0], count),
            "sha256": [f"{ordinal * 0x9E3779B97F4A7C15 % 2**64:016x}" * 4 for ordinal in ordinals],
        }
        return pa.table({name: columns[name] for name in schema.names}, schema=schema)

    def _made(self, count: int) -> dict[str, pa.Array]:
        bad = [number % self._rejected == 0 for number in range(count)]
        at = pa.array([None if b else 0 for b in bad], pa.int64())
        columns = {name: self._pair[name].combine_chunks().take(at) for name in REPEATED}
        reason = {"stage": "select", "kind": "pose", "message": "yaw 30.5° is over the limit of 20°"}
        columns |= {name: pa.array([text if b else None for b in bad]) for name, text in reason.items()}
        columns["rejected"] = pa.array([True if b else None for b in bad])
        columns["source"] = pa.repeat("folder", count)
        return columns
