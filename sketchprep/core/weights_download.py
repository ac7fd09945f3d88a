"""Archives of weights: download through pip's own client, verify, take one member.  The caller holds the lock."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from sketchprep.core.weights_manifest import Archive
from sketchprep.errors import UserError

__all__ = ["check", "download", "sha256_of", "take_member"]

_BLOCK = 1 << 20
_SECONDS_BETWEEN_LINES = 5.0


def sha256_of(file: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check(file: Path, size: int, sha256: str) -> None:
    """Refuse a file whose size or sum is not the manifest's.

    Raises
    ------
    UserError
        Naming what was expected and what was found.
    """
    found = file.stat().st_size
    if found != size:
        raise UserError(f"{file.name} has {found:,} bytes, expected {size:,}: {_remedy(file)}")
    _compare(file.name, sha256, sha256_of(file), _remedy(file))


def _remedy(file: Path) -> str:
    return f"remove {file} and fetch again" if file.parent.name == "archives" else "it is not used; fetch again"


def _compare(what: str, expected: str, found: str, remedy: str) -> None:
    if found != expected:
        raise UserError(f"{what} has the wrong checksum: expected sha256 {expected}, found {found}; {remedy}")


def take_member(archive: Path, member: str, target: Path, *, size: int, sha256: str) -> None:
    """Copy one member of a wheel, zip or tar to `target`, never more than `size` bytes of it.

    Nothing in the archive decides where anything is written.

    Raises
    ------
    UserError
        If the archive cannot be read, lacks the member, or holds other bytes than `sha256` says.
    """
    try:
        if archive.name.endswith((".whl", ".zip")):
            with zipfile.ZipFile(archive) as opened, opened.open(member) as stream:
                found = _copy(stream, target, size)
        else:
            with tarfile.open(archive, "r:*") as tar:
                info = next((info for info in tar if info.name == member and info.isreg()), None)
                stream_or_none = tar.extractfile(info) if info else None
                if stream_or_none is None:
                    raise KeyError(member)
                found = _copy(stream_or_none, target, size)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{archive.name} cannot be read ({error}); remove it and fetch again") from error
    except KeyError:
        raise UserError(f"{archive.name} has no member {member}; fetch again") from None
    _compare(f"{member} in {archive.name}", sha256, found, "it is not used; fetch again")


def _copy(stream: IO[bytes], target: Path, size: int) -> str:
    digest, left = hashlib.sha256(), size + 1
    with open(target, "wb") as out:
        while left > 0 and (block := stream.read(min(_BLOCK, left))):
            digest.update(block)
            out.write(block)
            left -= len(block)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def download(archive: Archive, folder: Path, keep: Path, *, log: Callable[[str], None]) -> Path:
    """Download an archive into `folder` with ``pip download --no-deps``.

    pip is told the sum and checks it before it opens the archive; for a source distribution that matters, because
    pip then runs the archive's build backend to read its metadata.

    Parameters
    ----------
    archive : Archive
        What to download.
    folder : Path
        An empty folder; pip's temporary files lie there too, so that a killed download leaves nothing elsewhere.
    keep : Path
        Where a person may put the archive by hand; named in the remedy.
    log : callable
        Takes one line of text every few seconds where standard error is not a terminal.

    Raises
    ------
    UserError
        No pip, no network, not on the index, another sum.
    """
    if importlib.util.find_spec("pip") is None:
        raise UserError(
            f"pip is missing from {sys.executable}, so {archive.file} cannot be fetched: "
            f"run `{sys.executable} -m ensurepip`, or put the file into {keep.parent}"
        )
    wanted, arrived = folder / "wanted.txt", folder / "arrived"
    arrived.mkdir()
    wanted.write_text(f"{archive.distribution}=={archive.version} --hash=sha256:{archive.sha256}\n")
    # Wheels where the manifest names a wheel, the sdist where it names one; never both.
    kind = "--only-binary" if archive.file.endswith(".whl") else "--no-binary"
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check",
        "--progress-bar", "off", kind, archive.distribution, "--dest", str(arrived), "--requirement", str(wanted),
        *_platform(archive.file),
    ]  # fmt: skip
    code, said = _run(command, archive, folder, log)
    file = arrived / archive.file
    if code != 0 or not file.exists():
        raise UserError(_explain(archive, said, keep))
    check(file, archive.bytes, archive.sha256)
    return file


def _platform(file: str) -> list[str]:
    """Options that make pip take a wheel that was built for another Python or system: only data is taken from it."""
    if not file.endswith(".whl"):
        return []
    python, abi, platform = file.removesuffix(".whl").split("-")[-3:]
    if platform == "any":
        return []
    return ["--python-version", python[2:], "--implementation", python[:2], "--abi", abi, "--platform", platform]


def _run(command: list[str], archive: Archive, folder: Path, log: Callable[[str], None]) -> tuple[int, str]:
    from tqdm import tqdm

    environment = {**os.environ, "TMPDIR": str(folder), "PIP_REQUIRE_VIRTUALENV": "0"}
    bar = tqdm(
        total=archive.bytes, unit="B", unit_scale=True, desc=archive.distribution, leave=False,
        disable=not sys.stderr.isatty(),
    )  # fmt: skip
    # What pip says goes through a pipe, not into the cache: it must arrive when that disk is full.
    with bar, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment) as child:
        try:
            last_line = time.monotonic()
            while True:
                try:
                    said = child.communicate(timeout=0.1)[0]
                    return child.returncode, said.decode(errors="replace")
                except subprocess.TimeoutExpired:
                    done = _grown(folder, archive.file)
                bar.update(max(0, done - bar.n))
                if bar.disable and time.monotonic() - last_line > _SECONDS_BETWEEN_LINES:
                    log(f"{archive.distribution}: {done / 1e6:.0f} of {archive.bytes / 1e6:.0f} MB")
                    last_line = time.monotonic()
        finally:
            child.kill()


def _grown(folder: Path, name: str) -> int:
    """Bytes of the file so far, wherever below the folder pip keeps it."""
    try:
        return max((file.stat().st_size for file in folder.rglob(name)), default=0)
    except OSError:  # pip takes its own folders away while this looks through them
        return 0


def _explain(archive: Archive, said: str, keep: Path) -> str:
    """One sentence from what pip printed."""
    what = f"{archive.distribution}=={archive.version}"
    by_hand = f"or put {archive.file} into {keep.parent} by hand"
    got = re.search(r"Got\s+([0-9a-f]{64})", said)
    if got:
        return (
            f"{archive.file} has the wrong checksum: expected sha256 {archive.sha256}, found {got[1]}; "
            "it is not used; check which package index pip is set to"
        )
    if re.search(r"No space left", said):
        return f"no space left in {keep.parent.parent} for {archive.file}; free space or set SKETCHPREP_CACHE"
    if re.search(r"ConnectionError|Failed to (establish|resolve)|timed out|ProxyError|SSLError|unreachable", said):
        return f"pip could not reach the package index for {what}: check the network and fetch again, {by_hand}"
    if re.search(r"No matching distribution", said):
        return f"pip finds no {what}: check the network and the index-url that pip is set to, {by_hand}"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["it said nothing"]
    return f"pip could not download {what} ({errors[-1]}): fetch again, {by_hand}"
