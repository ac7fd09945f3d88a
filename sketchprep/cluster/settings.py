"""Settings of Slurm jobs: shipped YAML files, a user's copies of them, single KEY=VALUE."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from sketchprep.core.config import Config, FrozenModel, read_yaml
from sketchprep.core.resources import resource

__all__ = ["Resources", "Script", "Settings", "TrainSettings", "load", "load_training"]

# One word: it goes into a line of a shell script.
Word = Annotated[str, Field(pattern=r"^[^\s'\"\\`$]+$")]
Line = Annotated[str, Field(pattern=r"^[^\n\r\x00]*$")]
Option = Annotated[str, Field(pattern=r"^--?[A-Za-z][^\n\r\x00]*$")]
Kind = TypeVar("Kind", bound="Resources")
# Times such as 01:30:00 are base-60 numbers to YAML, and node names may look like numbers.
_TEXT = ("partition", "account", "qos", "constraint", "time", "memory")


class Resources(FrozenModel):
    """What one job is given."""

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    time: Word | None = "04:00:00"
    memory: Word | None = "4G"
    cpus: int = Field(default=2, ge=1)
    gpus: int = Field(default=0, ge=0)
    extra: tuple[Option, ...] = ()

    def options(self) -> list[str]:
        """As options of ``sbatch`` and ``srun``."""
        values = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "time": self.time,
            "mem": self.memory,
            "ntasks": 1,
            "cpus-per-task": self.cpus,
            "gpus-per-task": self.gpus or None,
        }
        return [f"--{name}={value}" for name, value in values.items() if value is not None] + list(self.extra)


class Script(Resources):
    """What every batch script has: how it behaves near its time limit, and what runs before the work."""

    warn: int = Field(default=120, ge=10, le=65_535)
    requeues: int = Field(default=20, ge=0)
    attempts: int = Field(default=2, ge=1)
    setup: tuple[Line, ...] = ()
    command: Line = ""
    python: Line | None = None


class Settings(Script):
    """What the arrays of a build are given, and how they behave; see the comments in ``pipelines/slurm.yaml``."""

    throttle: int = Field(default=0, ge=0)
    shards_per_task: int = Field(default=0, ge=0)
    max_tasks: int = Field(default=1000, ge=1)
    stall: int = Field(default=1800, ge=1)
    settle: int = Field(default=60, ge=0)
    planning: Literal["here", "node"] = "here"
    merge: Resources = Resources()

    def for_merge(self) -> Resources:
        """What the last job is given."""
        own = {key: getattr(self, key) for key in Resources.model_fields}
        return Resources.model_validate({**own, **_given(self.merge)})


class TrainSettings(Script):
    """What a training is given; see the comments in ``pipelines/train-slurm.yaml``."""

    nodes: int = Field(default=1, ge=1)
    tasks: int | None = Field(default=None, ge=1)

    @property
    def tasks_per_node(self) -> int:
        """Processes of a node: one a GPU unless it is said otherwise."""
        return self.tasks or self.gpus or 1

    def options(self) -> list[str]:
        """As options of ``sbatch``; every task sees all GPUs of its node, as their exchange of data wants it."""
        ours = {"ntasks": None, "cpus-per-task": None, "gpus-per-task": None}
        others = [option for option in super().options() if option[2:].partition("=")[0] not in ours]
        own = [f"--nodes={self.nodes}", f"--ntasks-per-node={self.tasks_per_node}", f"--cpus-per-task={self.cpus}"]
        return [*own, *([f"--gpus-per-node={self.gpus}"] if self.gpus else []), *others]


def _given(part: Resources) -> dict[str, Any]:
    return {key: getattr(part, key) for key in part.model_fields_set}


def load(words: Iterable[str] = ()) -> Settings:
    """Read the shipped settings of a build, or a file, and change single keys.

    Parameters
    ----------
    words : iterable of str
        Paths of YAML files and ``key=value``; later ones win.

    Raises
    ------
    UserError
        Naming the file and the key for anything unknown or of the wrong type.
    """
    return _load(words, "slurm.yaml", Settings)


def load_training(words: Iterable[str] = ()) -> TrainSettings:
    """Read the shipped settings of a training, or a file, and change single keys; raises as `load`."""
    return _load(words, "train-slurm.yaml", TrainSettings)


def _load(words: Iterable[str], shipped: str, kind: type[Kind]) -> Kind:
    config = Config(read_yaml(resource("pipelines") / shipped, shipped), f"pipelines/{shipped}")
    for word in words:
        if "=" in word and not Path(word).exists():
            config.override(word, option="--slurm", literal=_TEXT)
        else:
            origin = f"--slurm {word}"
            config.update(read_yaml(Path(word), origin, remedy="give a YAML file or KEY=VALUE"), origin)
    return config.validate(kind)
