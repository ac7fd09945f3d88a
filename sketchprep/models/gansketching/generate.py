"""Pictures from seeds or latents, one file each, with a sheet of all and the latents beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sketchprep.errors import UserError
from sketchprep.io import files, images
from sketchprep.io.contact_sheet import contact_sheet, save_picture
from sketchprep.models.gansketching.edits import Edit, apply_edits
from sketchprep.models.gansketching.model import Sampler

__all__ = ["LATENTS", "SHEET", "Generated", "generate", "parse_seeds", "read_latents"]

SHEET, LATENTS = "sheet.jpg", "latents.npz"
MOST_SEEDS = 100_000
ROWS, COLUMNS, TILE = 10, 8, 256  # of the sheet


@dataclass
class Generated:
    """What was written.

    Attributes
    ----------
    pictures : list of Path
    sheet : Path or None
        Contact sheet of the first 80.
    latents : Path or None
        ``latents.npz`` with ``w``, and ``z`` and ``seeds`` where there were seeds.
    """

    pictures: list[Path] = field(default_factory=list)
    sheet: Path | None = None
    latents: Path | None = None


def parse_seeds(text: str) -> list[int]:
    """Read a list such as ``0-7,12``.

    Raises
    ------
    UserError
        For anything else, or more than 100,000 seeds.
    """
    seeds: list[int] = []
    for part in text.split(","):
        m = re.fullmatch(r"\s*(\d{1,9})(?:\s*-\s*(\d{1,9}))?\s*", part)
        if m is None:
            raise UserError(f"--seeds {text}: must be numbers and ranges such as 0-7,12")
        first, last = int(m[1]), int(m[2] or m[1])
        if last < first or last - first >= MOST_SEEDS - len(seeds):
            raise UserError(f"--seeds {text}: a range goes upwards, and there are at most {MOST_SEEDS:,} seeds")
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))


def read_latents(path: str | Path, sampler: Sampler) -> np.ndarray:
    """Read w or w+ of an ``.npy`` file, or of the ``w`` of an ``.npz`` file as `generate` writes it.

    Returns
    -------
    ndarray of float32, shape (n, style_dim) or (n, rows, style_dim)

    Raises
    ------
    UserError
        If the file holds anything else.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        values = loaded["w"] if isinstance(loaded, np.lib.npyio.NpzFile) else loaded
        values = np.asarray(values, np.float32)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"--latents {path}: is no .npy file with numbers, nor an .npz with w ({error})") from error
    if values.ndim == 1:
        values = values[None]
    known = ((sampler.style_dim,), (sampler.rows, sampler.style_dim))
    if values.shape[1:] not in known or not len(values) or not np.isfinite(values).all():
        raise UserError(
            f"--latents {path}: has shape {values.shape}; expected finite numbers of shape (n, {sampler.style_dim}) "
            f"for w or (n, {sampler.rows}, {sampler.style_dim}) for w+"
        )
    return values


def generate(
    sampler: Sampler,
    out: str | Path,
    *,
    seeds: list[int] | None = None,
    latents: np.ndarray | None = None,
    psi: float = 0.7,
    batch: int = 1,
    random_noise: bool = False,
    edits: Sequence[Edit] = (),
    progress: Callable[[int, str], Any] | None = None,
) -> Generated:
    """Draw pictures; write ``seed000012.png`` or ``latent000003.png``, ``sheet.jpg`` and ``latents.npz``.

    Parameters
    ----------
    sampler : Sampler
        See `sketchprep.models.gansketching.model.open_sampler`.
    out : path
        Folder for the results.
    seeds : list of int, optional
        z of a seed is ``numpy.random.RandomState(seed).randn(style_dim)``, as in the StyleGAN2 authors' scripts.
    latents : ndarray, optional
        w or w+, see `read_latents`, instead of seeds; `psi` does not touch them.
    psi : float
        Truncation, 0 to 1: towards 0 faces are more average, with fewer faults.
    batch : int
        Pictures drawn at once.
    random_noise : bool
        Noise given by the seed instead of the stored one.
    edits : sequence of Edit
        Movements in W after truncation; ``latents.npz`` then holds the moved w+.
    progress : callable, optional
        See `sketchprep.core.progress.bar`.

    Raises
    ------
    UserError
        For neither or both of seeds and latents, a psi outside 0..1, a batch below 1, or a folder that cannot be
        written.
    """
    if (seeds is None) == (latents is None):
        raise UserError("--seeds or --latents: name one of them")
    if not 0 <= psi <= 1:
        raise UserError(f"--psi {psi}: must be from 0 to 1")
    if batch < 1:
        raise UserError(f"--batch {batch}: must be at least 1")
    out, result = Path(out), Generated()
    w, names, z = _latents(sampler, seeds, latents, psi)
    if edits:
        w = apply_edits(sampler, w, list(edits))
    tiles: list[np.ndarray] = []
    bar = progress(len(w), "generating") if progress else None
    for at in range(0, len(w), batch):
        noise = seeds[at : at + batch] if seeds is not None and random_noise else None
        for picture in _pixels(sampler.draw(w[at : at + batch], seeds=noise)):
            target = out / f"{names[len(result.pictures)]}.png"
            files.write(images.encode_png(picture), target)
            result.pictures.append(target)
            if len(tiles) < ROWS * COLUMNS:
                tiles.append(picture)
            if bar is not None:
                bar.update(1)
    if bar is not None:
        bar.close()
    result.latents = _write_latents(out / LATENTS, w, z, seeds)
    result.sheet = out / SHEET
    rows = [tiles[at : at + COLUMNS] for at in range(0, len(tiles), COLUMNS)]
    save_picture(contact_sheet(rows, [""] * len(rows[0]), tile=TILE), result.sheet)
    return result


def _latents(
    sampler: Sampler, seeds: list[int] | None, latents: np.ndarray | None, psi: float
) -> tuple[Tensor, list[str], np.ndarray | None]:
    if seeds is None:
        assert latents is not None
        return torch.from_numpy(latents), [f"latent{number:06d}" for number in range(len(latents))], None
    z = np.stack([np.random.RandomState(seed).randn(sampler.style_dim) for seed in seeds]).astype(np.float32)
    return sampler.map(torch.from_numpy(z), psi=psi), [f"seed{seed:06d}" for seed in seeds], z


def _pixels(pictures: Tensor) -> Iterator[np.ndarray]:
    """Float pictures, about -1 to 1, as uint8 RGB of shape (height, width, 3)."""
    scaled = (pictures * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
    yield from scaled.permute(0, 2, 3, 1).cpu().numpy()


def _write_latents(path: Path, w: Tensor, z: np.ndarray | None, seeds: list[int] | None) -> Path:
    import io

    values = {"w": w.cpu().numpy()} | ({} if z is None else {"z": z, "seeds": np.array(seeds)})
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **values)
    files.write(buffer.getvalue(), path)
    return path
