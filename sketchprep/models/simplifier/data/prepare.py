"""Data of a simplifier training: mix of kinds, prepared portraits, and a digest of both."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from sketchprep.core import progress, weights
from sketchprep.core.resources import resource
from sketchprep.errors import UserError
from sketchprep.models.simplifier.data.portraits import prepare
from sketchprep.models.simplifier.data.sampler import Mix, PairSampler

__all__ = ["data_of", "mix_of", "prepared"]


def mix_of(value: str | dict[str, float]) -> Mix:
    """The shares of a named or spelt-out mix.

    Raises
    ------
    UserError
        For an unknown name or kind, or shares that are none.
    """
    try:
        mix = Mix.named(value) if isinstance(value, str) else Mix(**value)
    except TypeError:
        known = ", ".join(Mix().shares)
        raise UserError(f"mix: the kinds of pairs are {known}, not {', '.join(value)}") from None
    _ = mix.shares
    return mix


def prepared(
    photos: str | Path | None, cache: str | Path | None = None, *, device: str = "cpu", quiet: bool = False
) -> Path:
    """Draw the teacher's lines of the portraits that have none yet; return the folder that holds them.

    Parameters
    ----------
    photos : path or None
        Folder of portraits; None for the bundled ones.
    cache : path, optional
        Default a folder of its own for these very photos in the package's cache, so that runs on other photos never
        mix with it.
    device : str
        Resolved, for the edge network.
    """
    source = Path(photos) if photos is not None else resource("data/portraits")
    folder = Path(cache) if cache is not None else weights.cache_folder() / "pairs" / _name(source)
    bar: Any = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        bar = bar or progress.bar(total, "lines of portraits", quiet=quiet)
        bar.update(done - bar.n)

    try:
        result = prepare(source, folder, progress=show, device=device)
    finally:
        if bar is not None:
            bar.close()
    if not result.portraits:
        raise UserError(f"--photos {source}: no face was found in any of the pictures; name a folder of portraits")
    return folder


def _name(source: Path) -> str:
    """Folder name that differs for other photos: their names and sizes decide."""
    if not source.is_dir():
        raise UserError(f"--photos {source}: no such folder; name a folder of portraits")
    listed = [f"{path.name} {path.stat().st_size}" for path in sorted(source.iterdir()) if path.is_file()]
    return f"{source.resolve().name}-{hashlib.sha256(chr(10).join(listed).encode()).hexdigest()[:12]}"


def data_of(pairs: PairSampler) -> dict[str, Any]:
    """What the pairs are made of: number of files, and a sha256 over their names and lines.

    Returns
    -------
    dict
        ``line_art`` and ``portraits``, as far as the mix uses them: ``{"files": int, "sha256": str}``.
    """
    digests = {"line_art": hashlib.sha256(), "portraits": hashlib.sha256()}
    counts = {"line_art": 0, "portraits": 0}
    if pairs.shares["line_art"]:
        for path in pairs.art:
            digests["line_art"].update(path.name.encode() + path.read_bytes())
            counts["line_art"] += 1
    if pairs.cache is not None:
        for portrait in pairs.portraits:
            digests["portraits"].update(portrait.name.encode() + portrait.light.tobytes())
            for stroke in portrait.strokes:
                digests["portraits"].update(stroke.tobytes())
            counts["portraits"] += 1
    return {kind: {"files": count, "sha256": digests[kind].hexdigest()[:16]} for kind, count in counts.items() if count}
