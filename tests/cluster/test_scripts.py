"""Batch scripts and settings as text, and ten thousand shards against commands that only record."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from quick import QUICK
from recorder import SBATCH

import sketchprep
from sketchprep.cli.main import main
from sketchprep.cluster import script, settings, slurm
from sketchprep.datasets import plan
from sketchprep.datasets.build import slurm as build_slurm
from sketchprep.datasets.schema import shard_table
from sketchprep.errors import UserError
from sketchprep.io import shards


def test_pending_work_is_the_array_spec() -> None:
    assert script.array_spec([0]) == "0"
    assert script.array_spec([9, 0, 1, 2, 3, 7, 10], 2) == "0-3,7,9-10%2"


@pytest.mark.parametrize(
    ("total", "processes", "words", "expected"),
    [
        (4, 1, [], 1),
        (4, 2, [], 2),
        (1001, 1, ["max_tasks=5000"], 1),
        (1002, 1, ["max_tasks=5000"], 2),
        (10_000, 1, [], 10),
        (10_000, 1, ["shards_per_task=3"], 10),
        (30, 4, ["shards_per_task=3"], 3),
    ],
)
def test_indices_stay_below_the_sites_limit(total: int, processes: int, words: list[str], expected: int) -> None:
    per_task = script.batches(total, processes, 1001, settings.load(words))
    assert per_task == expected
    assert (total - 1) // per_task < 1001


def test_the_script_asks_for_what_the_settings_say(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(
        "partition: gpu\naccount: faces\ngpus: 1\nmemory: 16G\nthrottle: 8\nsetup: [module load cuda/12.4]\n"
        "command: apptainer exec --nv /images/my.sif\npython: /opt/venv/bin/python\nextra: ['--exclude=node7']\n"
    )
    loaded = settings.load([str(site), "time=01:30:00", "merge.partition=cpu"])
    spec = tmp_path / "100% mine" / "0001.json"
    text, merge = build_slurm.scripts(tmp_path, spec, [0, 2], loaded)
    for line in (
        "--partition=gpu", "--account=faces", "--gpus-per-task=1", "--mem=16G", "--time=01:30:00", "--array=0,2%8",
        "--exclude=node7", "--requeue", "--signal=B:USR1@120", f'--output="{tmp_path}/100%% mine/%A_%a.log"',
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in text
    assert "\nmodule load cuda/12.4\n" in text
    assert "apptainer exec --nv /images/my.sif /opt/venv/bin/python -P -m sketchprep.datasets.build shards '" in text
    assert "#SBATCH --partition=cpu\n" in merge
    assert "--gpus" not in merge
    for shell in (text, merge):
        subprocess.run(["bash", "-n"], input=shell, text=True, check=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["partitoin=gpu"], r"unknown key 'partitoin' \(did you mean 'partition'\? known: "),
        (["cpus=0"], "cpus: input should be greater than or equal to 1"),
        (["partition=gpu --wrap"], "partition: "),
        (["merge.cpu=1"], r"unknown key 'merge.cpu' \(did you mean 'cpus'\?"),
        (["cpus.x=1"], "'cpus' holds no other keys"),
        (["nowhere.yaml"], "slurm='nowhere.yaml': cannot be read"),
        (["extra=[rm -rf]"], "extra.0: "),
    ],
)
def test_settings_that_slurm_would_misread_are_refused_by_key(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        settings.load(words)


def test_a_dry_run_shows_the_scripts_and_writes_nothing(recorded: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    words = ["build", "--recipe", str(tmp_path / "quick.yaml"), "--root", str(photos), "-o", str(tmp_path / "data")]
    done = CliRunner().invoke(main, [*words, "--executor", "slurm", "--slurm", "cpus=1", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "4 shards in 4 tasks of up to 1 (MaxArraySize 1,001)" in done.output
    assert "#SBATCH --array=0-3\n" in done.output
    assert not (tmp_path / "data").exists()
    assert not recorded.exists()


def test_without_slurm_one_sentence_says_so(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"there is no `sbatch` on this machine"):
        sketchprep.build(recipe=QUICK, root=photos, out=tmp_path / "data", executor="slurm", quiet=True)


def test_a_refused_submission_leaves_no_array_behind(recorded: Path, photos: Path, tmp_path: Path) -> None:
    """The merging job is refused: the array is taken back, and the same command may be given again."""
    sbatch = recorded.parent / "bin" / "sbatch"
    sbatch.write_text(
        SBATCH.replace("wc -l", 'case "$*" in *--dependency*) echo "no more jobs" >&2; exit 1;; esac\nwc -l')
    )
    cancelled = recorded.parent / "cancelled"
    (recorded.parent / "bin" / "scancel").write_text(f'#!/bin/sh\necho "$@" > "{cancelled}"\n')
    options = {"recipe": QUICK, "root": photos, "out": tmp_path / "data", "executor": "slurm", "quiet": True}
    with pytest.raises(UserError, match="no more jobs"):
        sketchprep.build(**options)
    assert cancelled.read_text().strip() == "2"
    sbatch.write_text(SBATCH)
    assert sketchprep.build(**options).submitted is not None


@pytest.mark.parametrize(
    "said",
    [
        "echo $n",
        "echo $n';alpha'",
        "echo Welcome; echo note >&2; echo $n",
        "echo $n; echo Your project has 12 hours left",
        "echo Submitted batch job $n",
        "echo Submitted batch job $n on cluster alpha; echo bye",
        "echo $n; echo; echo -----",
    ],
)
def test_the_jobs_number_is_found_whatever_a_wrapper_says_besides(
    said: str, recorded: Path, photos: Path, tmp_path: Path
) -> None:
    (recorded.parent / "bin" / "sbatch").write_text(
        SBATCH.replace('wc -l < "$RECORD"', f'n=$(wc -l < "$RECORD")\n{said}')
    )
    submitted = sketchprep.build(
        recipe=QUICK, root=photos, out=tmp_path / "data", executor="slurm", quiet=True
    ).submitted
    assert submitted is not None
    assert (submitted.array, submitted.merge) == ("2", "3")


@pytest.mark.parametrize("said", ["echo hello", "true", "echo 7; echo 8"])
def test_after_an_answer_without_a_number_no_job_stays(said: str, recorded: Path, photos: Path, tmp_path: Path) -> None:
    (recorded.parent / "bin" / "sbatch").write_text(f"#!/bin/sh\n{said}\n")
    cancelled = recorded.parent / "cancelled"
    (recorded.parent / "bin" / "scancel").write_text(f'#!/bin/sh\necho "$@" > "{cancelled}"\n')
    out = tmp_path / "data"
    with pytest.raises(UserError, match="where a job number was expected, so its job was cancelled"):
        sketchprep.build(recipe=QUICK, root=photos, out=out, executor="slurm", quiet=True)
    assert cancelled.read_text().strip() == f"--name={slurm.job_name(out)}"


def test_the_name_of_the_jobs_is_the_folders(tmp_path: Path) -> None:
    name = slurm.job_name(tmp_path / "my, data")
    assert name.startswith("sketchprep-my_data-")
    assert name != slurm.job_name(tmp_path / "my; data")


MANY = """
import json, sys
from pathlib import Path
import sketchprep
from sketchprep.datasets.build.build import finish
recipe, root, out, built = json.loads(sys.argv[1])
out = Path(out)
if not built:
    sent = sketchprep.build(recipe=recipe, root=root, out=out, executor="slurm", slurm=["cpus=1"], quiet=True).submitted
    print(sent.tasks, sent.per_task)
else:
    finish(out)
status = open("/proc/self/status").read()  # getrusage would count what the parent held when it started this
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


def in_a_process(*words: object) -> list[int]:
    """What `MANY` prints, from a process whose memory is its own."""
    command = [sys.executable, "-c", MANY, json.dumps(words, default=str)]
    return [int(word) for word in subprocess.check_output(command, text=True).split()]


def fake_shards(out: Path, like: Path) -> None:
    """Finish every shard of a plan with the pair of another dataset, by hard links and rows."""
    pair = sketchprep.open_pairs(like)[0]
    tar = out.parent / "one.tar"
    shutil.copy(like / "shards" / f"{pair.row['shard']}.tar", tar)
    meta = {shards.META: json.dumps({"photos": 1, "pairs": 1, "tar_bytes": tar.stat().st_size, "tar_sha256": ""})}
    for name, shard in plan.shards(pq.read_table(out / "plan.parquet")).items():
        place = {"ordinal": shard.ordinals[0], "id": shard.samples[0].id, "split": shard.split, "shard": name}
        os.link(tar, out / "shards" / f"{name}.tar")
        rows = shard_table([{**pair.row, **place}]).replace_schema_metadata(meta)
        pq.write_table(rows, out / "shards" / f"{name}.parquet")


@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_shards_are_submitted_and_merged_in_little_memory(
    count: int, recorded: Path, built: Path, tmp_path: Path
) -> None:
    out, photos = tmp_path / "data", tmp_path / "photos"
    photos.mkdir()
    for number in range(count):
        (photos / f"{number:06d}.jpg").write_bytes(b"\xff\xd8 %d" % number)
    words = ({**QUICK, "shard_size": 1}, photos, out)
    tasks, per_task, memory = in_a_process(*words, False)
    assert memory < 500
    assert tasks <= 1000 < 1001
    assert (tasks - 1) * per_task < count <= tasks * per_task
    lines = recorded.read_text().splitlines()
    assert lines[1] == f"#SBATCH --array=0-{tasks - 1}"
    assert "--dependency=afterany:2" in lines[2]
    fake_shards(out, built)
    assert in_a_process(*words, True)[0] < 500
    ids = pq.read_table(out / "index.parquet", columns=["id"])["id"].to_pylist()
    assert len(ids) == len(set(ids)) == count
    assert (out / "preview.jpg").exists()


REFUSING = """#!/bin/sh
echo 'sbatch: error: invalid partition specified: nope' >&2
echo 'sbatch: error: Batch job submission failed: Invalid partition name specified' >&2
exit 1
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["partitoin=x"], "--slurm partitoin=x: unknown key 'partitoin' (did you mean 'partition'? known: "),
        (["time=soon soon"], "--slurm time=soon soon: time: string should match pattern"),
        (
            ["partition=nope"],
            "(invalid partition specified: nope; Batch job submission failed: Invalid partition name ",
        ),
    ],
)
def test_what_a_user_or_a_site_gets_wrong_is_one_sentence(
    words: list[str], message: str, recorded: Path, photos: Path, tmp_path: Path
) -> None:
    (recorded.parent / "bin" / "sbatch").write_text(REFUSING)
    (tmp_path / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    command = ["build", "--recipe", str(tmp_path / "quick.yaml"), "--root", str(photos), "-o", str(tmp_path / "data")]
    asked = [word for value in words for word in ("--slurm", value)]
    done = CliRunner().invoke(main, [*command, "--executor", "slurm", *asked])
    assert done.exit_code == 2
    assert message in done.output
    assert len([line for line in done.output.splitlines() if line.startswith("Error")]) == 1
    assert "Traceback" not in done.output


def test_nothing_to_cancel_and_no_slurm_are_said_before_anything_is_made(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = CliRunner().invoke(main, ["cancel", str(tmp_path)])
    assert (done.exit_code, "nothing to cancel" in done.output) == (2, True)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    command = ["build", "--recipe", str(tmp_path / "quick.yaml"), "--root", str(photos), "-o", str(tmp_path / "data")]
    done = CliRunner().invoke(main, [*command, "--executor", "slurm"])
    assert (done.exit_code, "there is no `sbatch` on this machine" in done.output) == (2, True)
    assert not (tmp_path / "data").exists()
    done = CliRunner().invoke(
        main, ["train", "--data", str(tmp_path), "--executor", "slurm", "--run", str(tmp_path / "r")]
    )
    assert (done.exit_code, "there is no `sbatch` on this machine" in done.output) == (2, True)
    assert not list(tmp_path.glob("r*"))
