"""Trainings as Slurm jobs: their script, two tasks of srun that equal accumulation, and a signal that loses nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file
from slurm_runs import until
from slurm_site import Site

from sketchprep.cli.main import main
from sketchprep.models.deepfacedrawing.training.train import train_deepfacedrawing
from sketchprep.training import devices, slurm

# The command's smallest network, on frames of 64 px.
SMALL = (
    "size=64", "latent=16", "width=4", "innermost=8", "narrow=4", "batch=2", "precision=float32", "threads=1",
    "workers=0", "stats_every=16", "samples_every=100000", "save_every=16", "keep=99",
)  # fmt: skip
SITE = ("tasks=2", "gpus=0", "cpus=1", "memory=900M", "time=10")
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def words(data: Path, run: Path, *more: str) -> list[str]:
    sets = [word for value in (*SMALL, *more) for word in ("--set", value)]
    return [
        "train",
        "deepfacedrawing",
        "--data",
        str(data),
        "--run",
        str(run),
        "--preset",
        "tiny",
        "--stage",
        "ce",
        *sets,
    ]


def submit(data: Path, run: Path, *more: str, site: tuple[str, ...] = ()) -> str:
    asked = [word for value in (*SITE, *site) for word in ("--slurm", value)]
    done = CliRunner().invoke(main, [*words(data, run, *more), "--executor", "slurm", *asked])
    assert done.exit_code == 0, done.output
    return done.output


def log(run: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(slurm.folder_of(run).glob("*.log")))


def assert_same_weights(one: Path, two: Path) -> None:
    paths = sorted(one.glob("*.safetensors"))
    assert len(paths) == 10
    for path in paths:
        a, b = load_file(path), load_file(two / path.name)
        # Running statistics are each process' own, see the tests of stage 1.
        weights = [key for key in a if not key.endswith(BUFFERS)]
        assert max(float((a[key] - b[key]).abs().max()) for key in weights) < 1e-5, path.name


@pytest.mark.parametrize(("nodes", "count"), [(1, 4), (4, 16)])
def test_one_node_and_four(nodes: int, count: int, recorded: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "my faces"
    asked = ["--executor", "slurm", "--slurm", "gpus=4", "--slurm", f"nodes={nodes}", "--slurm", "partition=gpu"]
    asked += ["--slurm", 'setup=["module load cuda/12.4"]', "--init-from", "old"]
    command = [*words(Path("out/faces"), run), *asked]
    shown = CliRunner().invoke(main, [*command, "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert not recorded.exists()
    assert not run.parent.exists()
    for line in (f"--nodes={nodes}", "--ntasks-per-node=4", "--gpus-per-node=4", "--cpus-per-task=8", "--partition=gpu",
                 "--requeue", "--signal=USR1@120", "--open-mode=append"):  # fmt: skip
        assert f"#SBATCH {line}\n" in shown.output
    assert "--ntasks=" not in shown.output
    assert "gpus-per-task" not in shown.output, "each process must see the other GPUs of its node"
    assert "\nmodule load cuda/12.4\nset -u" in shown.output
    assert f"--data {Path('out/faces').absolute()} --run '{run}' --stage ce --preset tiny --set size=64" in shown.output
    assert f"--init-from {Path('old').absolute()}" in shown.output
    assert "--executor" not in shown.output.partition("#SBATCH --requeue")[2]
    subprocess.run(["bash", "-n"], input=shown.output, text=True, check=True)
    sent = CliRunner().invoke(main, command)
    assert f"{count} processes on {nodes} node" in sent.output
    assert f"{run}-slurm/train.sh" in sent.output
    script = slurm.folder_of(run) / "train.sh"
    assert str(script) in recorded.read_text()
    assert script.read_text().strip() == shown.output.strip()


def test_a_second_job_for_one_run_is_refused(recorded: Path, tmp_path: Path) -> None:
    (recorded.parent / "bin" / "squeue").write_text("#!/bin/sh\necho 77\n")
    done = CliRunner().invoke(main, [*words(tmp_path, tmp_path / "run"), "--executor", "slurm"])
    assert done.exit_code == 2
    assert "job 77 trains there already; follow it, or end it with scancel 77" in done.output
    assert not recorded.exists()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (1, 1, "")),
        ({"SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}, (1, 1, "")),
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"}, (1, 1, "")),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2"}, (8, 2, "srun")),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "2", "SLURM_STEP_NUM_TASKS": "2"},
         (4, 2, "torchrun")),
    ],
)  # fmt: skip
def test_who_started_the_processes(
    variables: dict[str, str], expected: tuple[int, int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that runs by itself inside an allocation waits for nobody."""
    for name in (
        "TORCHELASTIC_RUN_ID",
        "WORLD_SIZE",
        "GROUP_WORLD_SIZE",
        "SLURM_STEP_NUM_TASKS",
        "SLURM_STEP_NUM_NODES",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = devices.detect_launcher()
    assert (found.processes, found.nodes, found.by) == expected


def test_two_tasks_of_srun_equal_one_process_with_two_accumulated_batches(
    site: Site, built: Path, tmp_path: Path
) -> None:
    submit(built, tmp_path / "two", "images=40")
    site.drain(300)
    text = log(tmp_path / "two")
    assert text.count("finished, 40 images") == 2, text + site.log()  # its log and its command, once each
    overrides = [*SMALL, "images=40", "accumulate=2"]
    train_deepfacedrawing(built, tmp_path / "one", stage="ce", preset="tiny", overrides=overrides, quiet=True)
    last = "ce/checkpoints/000000040"
    assert_same_weights(tmp_path / "one" / last, tmp_path / "two" / last)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_signal_before_the_limit_saves_and_the_job_goes_on_by_itself(
    site: Site, built: Path, tmp_path: Path
) -> None:
    """Slurm holds what it queued again for two minutes."""
    run, more = tmp_path / "cut", ("images=480", "save_every=80")
    submit(built, run, *more)
    folders = run / "ce" / "checkpoints"
    until(lambda: list(folders.glob("0*")), "a first checkpoint")
    site.run("scancel", "--signal=USR1", site.run("squeue", "-h", "-o", "%i").split()[0])
    until(lambda: "RUNNING" not in site.run("squeue", "-h", "-o", "%T"), "the job to end")
    saved = sorted(path.name for path in folders.glob("0*"))
    assert 0 < int(saved[-1]) < 480
    assert "back into the queue" in log(run), log(run)
    site.drain(500)
    assert "resumes at" in log(run)
    assert "finished, 480 images" in log(run), log(run)
    submit(built, tmp_path / "whole", *more)
    site.drain(300)
    assert_same_weights(folders / "000000480", tmp_path / "whole" / "ce" / "checkpoints" / "000000480")
