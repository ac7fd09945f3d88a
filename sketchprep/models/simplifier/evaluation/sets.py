"""Evaluation sets: generated pairs, photocopies of held-out portraits, faces in the standard frame."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sketchprep.datasets.sources import open_tree
from sketchprep.datasets.sources.tree import PICTURES, Tree
from sketchprep.errors import SampleError, UserError
from sketchprep.models.simplifier.evaluation.settings import Settings

__all__ = ["SIZE", "Face", "Pair", "Sets", "open_sets", "read_face", "spread"]

SIZE = 512
_PHOTOS = "CelebA-HQ-img"


@dataclass(frozen=True, slots=True)
class Pair:
    """A rough picture and the drawing that is wanted of it.

    Attributes
    ----------
    kind : str
        ``"drawings"``, ``"scenes"`` or ``"photocopies"``.
    name, group : str
        Pictures of one person are one group.
    rough, clean : ndarray, (H, W) uint8
        Black ink on white.
    face : ndarray, (H, W) bool, or None
    landmarks : ndarray, (68, 2) float32, or None
    photo : ndarray, (H, W) uint8, or None
    """

    kind: str
    name: str
    group: str
    rough: np.ndarray
    clean: np.ndarray
    face: np.ndarray | None = None
    landmarks: np.ndarray | None = None
    photo: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Face:
    """A face in the FFHQ/CelebA-HQ frame.

    Attributes
    ----------
    kind, name : str
        The folder's name, or ``"portraits"``; the picture's.
    read : callable
        Gives the photo, (512, 512, 3) or (512, 512) uint8, and its landmarks, (68, 2); may raise `SampleError`.
    clean : callable or None
        Gives the teacher's lines, (512, 512) uint8.
    """

    kind: str
    name: str
    read: Callable[[], tuple[np.ndarray, np.ndarray]]
    clean: Callable[[], np.ndarray] | None = None


@dataclass(slots=True)
class Sets:
    """All pictures of an evaluation; pairs are made when they are asked for.

    Attributes
    ----------
    makers : list of callable
        Each makes the pairs of one kind.
    counts : dict of str to int
        How many pairs there are of each kind.
    faces : list of Face
    notes : list of str
        What is missing and why, a sentence each.
    """

    makers: list[Callable[[], list[Pair]]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    faces: list[Face] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Pair]:
        for make in self.makers:
            yield from make()


def open_sets(
    settings: Settings,
    *,
    photos: str | Path | None,
    roots: Sequence[str | Path],
    cache: Path,
    offline: bool = False,
    progress: Callable[[int, str], Any] | None = None,
) -> Sets:
    """Find or make the pictures.

    Parameters
    ----------
    settings : Settings
    photos : path or None
        Folder of portraits, of which the held-out ones are taken; None for the bundled ones.
    roots : sequence of path
        Folders or zips of photos in the FFHQ/CelebA-HQ frame.
    cache : Path
        Folder for the teacher's lines; made if need be.
    offline : bool
        Never fetch weights.
    progress : callable, optional
        See `sketchprep.core.progress.bar`.

    Raises
    ------
    UserError
        If a folder cannot be read or holds no pictures.
    """
    from sketchprep.models.simplifier.data import held_out as heldout

    sets = Sets()
    for root in roots:
        sets.faces += _folder_faces(Path(root), settings.faces.count, offline)
    if not roots:
        sets.notes.append("Faces of CelebAMask-HQ: left out, since no folder was given (--celebamask DIR).")
    for kind, spec in (("drawings", settings.drawings), ("scenes", settings.scenes)):
        make = getattr(heldout, kind)
        sets.makers.append(partial(_synthetic, kind, make, spec, settings.seed))
        sets.counts[kind] = spec.count
    if settings.photocopies.count or settings.faces.count:
        _add_portraits(sets, settings, photos, cache, offline, progress)
    return sets


def _synthetic(kind: str, make: Callable[..., Any], spec: Any, seed: int) -> list[Pair]:
    examples = make(spec.count, size=spec.size, seed=seed)
    return [Pair(kind, e.name, e.name, e.rough, e.clean) for e in examples]


def _add_portraits(
    sets: Sets,
    settings: Settings,
    photos: str | Path | None,
    cache: Path,
    offline: bool,
    progress: Callable[[int, str], Any] | None,
) -> None:
    from sketchprep.models.simplifier.data import portraits as store

    variants = settings.photocopies.variants
    most = max(-(-settings.photocopies.count // len(variants)), settings.faces.count)
    names, skipped = _prepare(photos, cache, most, offline, progress)
    sets.notes += [f"Portrait {name}: left out, {reason}." for name, reason in skipped]
    portraits = {p.name: p for p in store.open_portraits(cache, held_out=True) if p.name in names} if names else {}
    chosen = spread([(p, v) for p in portraits.values() for v in variants], settings.photocopies.count)
    if len(chosen) < settings.photocopies.count:
        where = "bundled" if photos is None else "given"
        sets.notes.append(
            f"Photocopies: {len(chosen)} of {settings.photocopies.count}, since only {len(portraits)} of the {where} "
            "portraits are held out and usable (--photos DIR takes a larger folder)."
        )
    sets.makers.append(lambda: [_photocopy(portrait, variant) for portrait, variant in chosen])
    sets.counts["photocopies"] = len(chosen)
    for portrait in spread(list(portraits.values()), settings.faces.count):
        sets.faces.append(Face("portraits", portrait.name, partial(_seen, portrait), partial(_lines, portrait)))


def _prepare(
    photos: str | Path | None,
    cache: Path,
    most: int,
    offline: bool,
    progress: Callable[[int, str], Any] | None,
) -> tuple[set[str], list[tuple[str, str]]]:
    """Teacher's lines of the held-out portraits of a folder: their names, and what was skipped."""
    from sketchprep.core.resources import resource
    from sketchprep.models.simplifier.data.portraits import choose, prepare

    folder = Path(photos) if photos is not None else resource("data/portraits")
    if not folder.is_dir():
        raise UserError(f"--photos {folder}: no such folder; name a folder with portraits")
    names = [path.name for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.is_file()]
    held_out = spread(choose(names, held_out=True), most)
    if not held_out:
        raise UserError(
            f"--photos {folder}: holds no held-out portraits, whose names end in a number divisible by five"
        )
    display = progress(len(held_out), "drawing the teacher's lines") if progress else None
    with tempfile.TemporaryDirectory() as links:
        for name in held_out:
            (Path(links) / name).symlink_to((folder / name).resolve())
        prepared = prepare(links, cache, offline=offline, progress=lambda *_: display.update() if display else None)
    if display:
        display.close()
    return set(prepared.portraits), prepared.skipped


def _photocopy(portrait: Any, variant: str) -> Pair:
    from sketchprep.models.simplifier.data.teacher_lines import face_mask
    from sketchprep.ops.photocopy import photocopy

    face = face_mask(portrait.landmarks, portrait.light.shape) > 0.5
    rough = photocopy(portrait.light, variant=variant)
    name = f"{portrait.name}-{variant}"
    return Pair("photocopies", name, portrait.name, rough, _lines(portrait), face, portrait.landmarks, portrait.light)


def _seen(portrait: Any) -> tuple[np.ndarray, np.ndarray]:
    return portrait.light, portrait.landmarks


def _lines(portrait: Any) -> np.ndarray:
    from sketchprep.models.simplifier.data import strokes
    from sketchprep.models.simplifier.data.sampler import LINE_WIDTH

    return 255 - strokes.render(portrait.strokes, portrait.light.shape, width=LINE_WIDTH)


def _folder_faces(root: Path, count: int, offline: bool) -> list[Face]:
    from sketchprep.sketching.landmarks import open_landmarker

    if not root.exists():
        raise UserError(
            f"--celebamask {root}: no such folder; give the root of CelebAMask-HQ, or a folder of its photos"
        )
    tree = open_tree(root)
    tree.follow(_PHOTOS)
    under = _PHOTOS if tree.kind(_PHOTOS) == "folder" else ""
    paths = sorted((entry.path for entry in tree.files(under).files), key=_by_number)
    if not paths:
        raise UserError(f"--celebamask {root}: no pictures there; give the root of CelebAMask-HQ")
    landmarker = open_landmarker(offline=offline)
    return [
        Face(root.resolve().name, Path(path).stem, partial(read_face, tree, path, landmarker))
        for path in spread(paths, count)
    ]


def read_face(tree: Tree, path: str, landmarker: Any) -> tuple[np.ndarray, np.ndarray]:
    """Read a photo that lies in the FFHQ/CelebA-HQ frame, at 512 px, and locate its landmarks.

    Smaller photos are enlarged by bicubic interpolation: filters, network and pixel figures are made for 512.

    Returns
    -------
    photo : ndarray, (512, 512, 3) uint8
    landmarks : ndarray, (68, 2) float64

    Raises
    ------
    SampleError
        If it cannot be read, or is not square.
    """
    from sketchprep.io import images
    from sketchprep.ops.resize import resize

    photo = images.decode(tree.read(path))
    if photo.shape[0] != photo.shape[1]:
        raise SampleError("frame", f"{photo.shape[1]}x{photo.shape[0]} px is not square, so it lies in no frame")
    photo = resize(photo, (SIZE, SIZE))
    return photo, landmarker.frame_points(photo)


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` items, evenly over the sequence, the first included."""
    if count >= len(items):
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def _by_number(path: str) -> tuple[int, str]:
    stem = Path(path).stem
    return (int(stem) if stem.isdecimal() else -1, path)
