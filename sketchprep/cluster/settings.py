"""What a site's Slurm is asked for: ``pipelines/slurm.yaml``, a user's copy of it, and single keys."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sketchprep.errors import UserError
from sketchprep.resources import resource

__all__ = ["Resources", "Settings", "load"]

# One word: it goes into a line of a shell script.
Word = Annotated[str, Field(pattern=r"^[^\s'\"\\`$]+$")]
Line = Annotated[str, Field(pattern=r"^[^\n\r\x00]*$")]
Option = Annotated[str, Field(pattern=r"^--?[A-Za-z][^\n\r\x00]*$")]


class Resources(BaseModel):
    """What one job is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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


class Settings(Resources):
    """What the array is given, and how it behaves; see the comments in ``pipelines/slurm.yaml``."""

    throttle: int = Field(default=0, ge=0)
    shards_per_task: int = Field(default=0, ge=0)
    max_tasks: int = Field(default=1000, ge=1)
    warn: int = Field(default=120, ge=10, le=65_535)
    requeues: int = Field(default=20, ge=0)
    attempts: int = Field(default=2, ge=1)
    stall: int = Field(default=1800, ge=1)
    planning: Literal["here", "node"] = "here"
    setup: tuple[Line, ...] = ()
    command: Line = ""
    python: Line | None = None
    merge: dict[str, Any] = Field(default_factory=dict)

    def for_merge(self) -> Resources:
        """What the last job is given."""
        own = {key: getattr(self, key) for key in Resources.model_fields}
        return Resources.model_validate({**own, **self.merge})


def load(words: Iterable[str] = ()) -> Settings:
    """Read the shipped settings, or a file, and change single keys.

    Parameters
    ----------
    words : iterable of str
        Paths of YAML files and ``key=value``; later ones win.

    Raises
    ------
    UserError
        Naming the file and the key for anything unknown or of the wrong type.
    """
    data = _read(resource("pipelines") / "slurm.yaml")
    where = "--slurm"
    for word in words:
        key, equals, value = word.partition("=")
        if equals and not Path(word).exists():
            _set(data, key, value, word)
        else:
            data.update(_read(Path(word)))
            where = f"--slurm {word}"
    try:
        settings = Settings.model_validate(data)
        settings.for_merge()
    except ValidationError as error:
        raise UserError(f"{where}: {_sentence(error)}") from None
    return settings


def _set(data: dict[str, Any], key: str, value: str, word: str) -> None:
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"--slurm {word}: the value is not valid YAML; quote it") from None
    outer, dot, inner = key.partition(".")
    if not dot:
        # Times such as 01:30:00 are base-60 numbers to YAML, and node names may look like numbers.
        data[key] = value if isinstance(parsed, int | float) and _is_text(key) else parsed
    elif isinstance(data.get(outer), dict):
        data[outer] = {**data[outer], inner: value if isinstance(parsed, int | float) and _is_text(inner) else parsed}
    else:
        raise UserError(f"--slurm {word}: '{outer}' holds no other keys; see pipelines/slurm.yaml")


def _is_text(key: str) -> bool:
    return key in ("partition", "account", "qos", "constraint", "time", "memory")


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--slurm {path}: cannot be read ({error.strerror}); give a YAML file or KEY=VALUE") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"--slurm {path}: is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise UserError(f"--slurm {path}: must be a YAML mapping; pipelines/slurm.yaml shows its keys")
    return data


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key '{where}' (known: {', '.join(Settings.model_fields)})"
    message = first["msg"][:1].lower() + first["msg"][1:]
    return f"{where}: {message}, not {first.get('input')!r}"
