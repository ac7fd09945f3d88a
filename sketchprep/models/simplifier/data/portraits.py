"""On-disk cache of portraits in the frame with the teacher's lines, line art, and the rule that holds some out."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sketchprep.core.resources import resource
from sketchprep.errors import SampleError, UserError
from sketchprep.io.files import atomic
from sketchprep.models.simplifier.data import svg_line_art
from sketchprep.models.simplifier.data.strokes import Stroke

if TYPE_CHECKING:
    from sketchprep.nn.hed import HED
    from sketchprep.sketching.landmarks import Landmarker

__all__ = [
    "VERSION",
    "Portrait",
    "Prepared",
    "art_of",
    "choose",
    "is_held_out",
    "open_art",
    "open_portraits",
    "prepare",
    "ranks",
]

VERSION = 3
"""Part of every file name in the cache; raised with whatever changes the lines of a portrait."""

FRAME = 512
HELD_OUT_EVERY = 5  # one rule for portraits and line art
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, slots=True)
class Portrait:
    """A photo in the FFHQ/CelebA-HQ frame of 512 px, and what was seen in it.

    Attributes
    ----------
    name : str
        File name of the photo without its ending.
    light : ndarray, (512, 512) uint8
        Grey: linear-light luminance (the photocopy's weights), sRGB-encoded.
    edges : ndarray, (512, 512) uint8
        Probability of an edge by HED, 0 to 255.
    landmarks : ndarray, (68, 2) float32
    strokes : list of ndarray, (N, 2) float32
        The teacher's lines.
    """

    name: str
    light: np.ndarray
    edges: np.ndarray
    landmarks: np.ndarray
    strokes: list[Stroke]


@dataclass(slots=True)
class Prepared:
    """What `prepare` did: names of the usable portraits, and of the others with the reason."""

    portraits: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def prepare(
    photos: str | Path | None,
    cache: str | Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    device: str = "cpu",
    offline: bool = False,
) -> Prepared:
    """Fill a cache; entries that exist are kept, so that the same command resumes.

    Parameters
    ----------
    photos : path or None
        Folder of portraits, any size and place of the face; None for the bundled ones.
    cache : path
        Folder to fill; made if need be.
    progress : callable, optional
        Gets the photos done and their total after each photo.
    device : str
        For the edge network, about a second a portrait on one core.
    offline : bool
        Do not fetch missing weights.

    Returns
    -------
    Prepared

    Raises
    ------
    UserError
        If the folder cannot be read or holds no pictures, or the cache cannot be written.
    """
    folder = Path(photos) if photos is not None else resource("data/portraits")
    if not folder.is_dir():
        raise UserError(f"photos {folder}: no such folder; name a folder with portraits")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS and path.is_file())
    if not files:
        raise UserError(f"photos {folder}: no pictures there ({', '.join(_ENDINGS)})")
    cache = Path(cache)
    done = Prepared()
    tools: tuple[HED, Landmarker] | None = None
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for count, path in enumerate(files, 1):
            data = path.read_bytes()
            ready = cache / f"{path.stem}-{hashlib.sha256(data).hexdigest()[:10]}.v{VERSION}.npz"
            try:
                if not ready.exists():
                    tools = tools or _tools(device, offline)
                    _write(ready, _portrait_arrays(data, *tools))
                done.portraits.append(path.stem)
            except SampleError as error:
                done.skipped.append((path.name, error.message))
            if progress:
                progress(count, len(files))
    except OSError as error:
        raise UserError(f"cache {cache}: cannot be used ({error.strerror or error}); name another folder") from error
    return done


def _tools(device: str, offline: bool) -> tuple[HED, Landmarker]:
    from sketchprep.core import weights
    from sketchprep.nn import hed
    from sketchprep.sketching.landmarks import open_landmarker

    net = hed.load_hed(weights.path("hed", offline=offline), device=device, dtype="bfloat16")
    return net, open_landmarker(offline=offline)


def _portrait_arrays(data: bytes, net: HED, landmarker: Landmarker) -> dict[str, np.ndarray]:
    from sketchprep.io import images
    from sketchprep.models.simplifier.data.teacher_lines import teacher_strokes
    from sketchprep.nn import hed
    from sketchprep.ops.align import align, transform_points

    photo = images.decode(data)
    faces = landmarker.faces(photo)
    if not faces:
        raise SampleError("no-face", "no face was found", rejected=True)
    points = landmarker.points(photo, faces[0])
    aligned = align(photo, points, template="ffhq", size=FRAME)
    points = transform_points(aligned.matrix, points)
    light = luminance(aligned.image)
    edges = np.rint(255 * hed.probability(net, aligned.image[None])[0]).astype(np.uint8)
    strokes = teacher_strokes(light, edges.astype(np.float32) / 255, points)
    return {
        "light": light,
        "edges": edges,
        "landmarks": points.astype(np.float32),
        "points": np.concatenate(strokes) if strokes else np.zeros((0, 2), np.float32),
        "counts": np.array([len(s) for s in strokes], np.int64),
    }


def luminance(photo: np.ndarray) -> np.ndarray:
    """Linear-light luminance of an RGB photo, sRGB-encoded: a photocopy of it is that of the photo. (H, W) uint8."""
    level = np.arange(256) / 255.0
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4).astype(np.float32)
    grey = linear[photo] @ np.array([0.2225, 0.7169, 0.0606], np.float32)
    encoded = np.where(grey <= 0.0031308, 12.92 * grey, 1.055 * np.maximum(grey, 1e-6) ** (1 / 2.4) - 0.055)
    return np.clip(np.rint(255 * encoded), 0, 255).astype(np.uint8)


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    with atomic(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def open_portraits(cache: str | Path, *, held_out: bool = False) -> list[Portrait]:
    """Portraits of a cache on one side of the split, sorted by name, all in memory (half a megabyte each).

    Raises
    ------
    UserError
        If there are none, or a file is damaged.
    """
    files = sorted(Path(cache).glob(f"*.v{VERSION}.npz"))
    names = {path: path.name.rsplit("-", 1)[0] for path in files}
    chosen = [path for path in files if is_held_out(names[path]) == held_out]
    if not chosen:
        side = "held-out" if held_out else "training"
        raise UserError(f"cache {cache}: holds no {side} portraits; prepare it from a folder of photos first")
    return [_open(path, names[path]) for path in chosen]


def _open(path: Path, name: str) -> Portrait:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            strokes = np.split(arrays["points"], np.cumsum(arrays["counts"])[:-1])
            return Portrait(name, arrays["light"], arrays["edges"], arrays["landmarks"], strokes)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"cache file {path} cannot be read ({error}); delete it and prepare again") from None


_ART: dict[tuple[str, str], svg_line_art.Art] = {}


def open_art(folder: str | Path | None = None, *, held_out: bool = False) -> list[Path]:
    """SVG files of a folder (None for the bundled line art) on one side of the split, sorted by name."""
    folder = Path(folder) if folder is not None else resource("data/line-art")
    names = ranks([path.name for path in folder.glob("*.svg")], held_out=held_out)
    if not names:
        raise UserError(f"line art {folder}: no SVG files there")
    return [folder / name for name in names]


def art_of(path: Path) -> svg_line_art.Art:
    """A drawing, traced on first use in this process (some 40 ms)."""
    key = (str(path.parent), path.name)
    if key not in _ART:
        _ART[key] = svg_line_art.load(path)
    return _ART[key]


def is_held_out(name: str) -> bool:
    """True for a portrait kept for evaluation: the last number in its file name is a multiple of five.

    A name without a number is never held out.
    """
    numbers = re.findall(r"\d+", Path(name).stem if name.endswith((".jpg", ".jpeg", ".png", ".npz")) else name)
    return bool(numbers) and int(numbers[-1]) % HELD_OUT_EVERY == 0


def choose(names: Sequence[str], *, held_out: bool) -> list[str]:
    """The names on one side of the rule, sorted."""
    return sorted(name for name in names if is_held_out(name) == held_out)


def ranks(names: Sequence[str], *, held_out: bool) -> list[str]:
    """For names without numbers of their own: every fifth of the sorted names is held out, beginning with the first."""
    return [name for rank, name in enumerate(sorted(names)) if (rank % HELD_OUT_EVERY == 0) == held_out]
