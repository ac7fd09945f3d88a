"""(Sketch, photo) pairs of a built dataset in training order, decoded and augmented on demand."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.training.augment import Augment, vary
from sketchprep.training.visits import Visits

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.datasets.reader import Pair, PairDataset

__all__ = ["Augment", "PairedFaces", "held_out"]

ALL = "all"
_ARGUMENTS = ("data", "size", "split", "sketch", "seed", "photos", "augment", "limit")
HELD_OUT = 8  # pairs that stand in where nothing was held out


class PairedFaces:
    """Pairs of one split, in an order and with variations that only depend on the seed.

    Visit v looks at pair ``permutation(seed, v // N)[v % N]``, so each epoch has every pair once.  Picklable in few
    bytes; a worker process opens the dataset once.  Needs the built dataset alone: neither landmarks' detector nor
    original photos.

    Parameters
    ----------
    data : path
        The dataset.
    size : int
        Height and width wanted, a multiple of 64 that the dataset's size is a multiple of; pictures are shrunk by area.
    split : str
        ``"all"`` for the whole dataset.
    sketch : str
        The stored stage to take as sketch; ``"sketch"`` is the final one.
    seed : int
    photos : bool
        False leaves the photos away, undecoded.
    augment : Augment
    limit : int, optional
        Only the first pairs.

    Raises
    ------
    UserError
        If there is no such dataset, split or stage, or if its frame or its size will not do.

    Examples
    --------
    >>> faces = PairedFaces("out/celebamask-hq", size=256)  # doctest: +SKIP
    >>> faces.batch([0, 1])["sketch"].shape  # doctest: +SKIP
    (2, 1, 256, 256)
    """

    def __init__(
        self,
        data: str | os.PathLike[str],
        *,
        size: int,
        split: str = "train",
        sketch: str = "sketch",
        seed: int = 0,
        photos: bool = True,
        augment: Augment | None = None,
        limit: int | None = None,
    ) -> None:
        from sketchprep.datasets.reader import open_pairs

        self.size, self.split, self.seed, self.photos = size, split, seed, photos
        self.augment = augment or Augment()
        given = (str(data), size, split, sketch, seed, photos, self.augment, limit)
        self._given = tuple(zip(_ARGUMENTS, given, strict=True))
        pairs = open_pairs(data)
        self._hash = _checked_recipe(pairs, size)
        _keep_split(pairs, split)
        self.sketch = _stage(pairs, sketch)
        if limit is not None and limit < 1:
            raise UserError(f"limit={limit}: must be at least 1")
        self._stages = (self.sketch, "photo") if photos else (self.sketch,)
        pairs.table = _narrowed(pairs, self._stages, limit)
        self._pairs = pairs
        self._visits = Visits(len(self), seed)
        self.fixed(1)  # a folder whose first pair cannot be read is better refused now

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def ids(self) -> list[str]:
        """Names of the pairs, in the dataset's order."""
        return self._pairs.table["id"].to_pylist()

    def __reduce__(self) -> tuple[Any, ...]:
        # The loader sends its task along with every batch: the arguments are short, and a worker keeps its shards open.
        return _opened, (self._given,)

    def batch(self, visits: Sequence[int]) -> dict[str, np.ndarray]:
        """Make a batch.

        Parameters
        ----------
        visits : sequence of int
            Numbers of visits, at least 0.

        Returns
        -------
        dict
            ``sketch``: uint8 (B, 1, S, S), black on white; ``photo``: uint8 (B, 3, S, S), RGB, if asked for; ``flip``:
            bool (B,), which are mirrored, if any may be.

        Raises
        ------
        UserError
            If a picture cannot be read.
        """
        return _stack([self._varied(visit) for visit in visits])

    def fixed(self, n: int) -> dict[str, np.ndarray]:
        """The first n pairs, or as many as there are, as they are: the same keys as `batch`."""
        made = [self._decoded(number)[0] for number in range(min(n, len(self)))]
        flip = {"flip": np.False_} if self.augment.flip else {}
        return _stack([{**pictures, **flip} for pictures in made])

    def describe(self) -> dict[str, Any]:
        """What decides the pictures, as plain values."""
        members = self._pairs.table["members"].combine_chunks().flatten()
        listed = "\n".join([*self.ids, *members.field("sha256").to_pylist()])
        return {
            "recipe": self._hash,
            "pairs": len(self),
            "content": hashlib.sha256(listed.encode()).hexdigest(),
            "split": self.split,
            "sketch": self.sketch,
            "size": self.size,
            "augment": self.augment.model_dump(mode="json"),
        }

    def _varied(self, visit: int) -> dict[str, Any]:
        pictures, landmarks = self._decoded(self._visits.sample(visit))
        rng = self._visits.random(visit)
        flip = rng.random() < self.augment.flip
        pictures["sketch"] = vary(pictures["sketch"][0], rng, self.augment, landmarks=landmarks)[None]
        if flip:
            pictures = {name: picture[..., ::-1] for name, picture in pictures.items()}
        return {**pictures, "flip": flip} if self.augment.flip else pictures

    def _decoded(self, number: int) -> tuple[dict[str, Any], np.ndarray | None]:
        """Pictures as planes at the wanted size, and landmarks there."""
        from sketchprep.ops.resize import resize

        pair = self._pairs[number]
        try:
            pictures = {
                name: resize(_square(pair, stage, self._pairs.size), (self.size, self.size))
                for name, stage in zip(("sketch", "photo"), self._stages, strict=False)
            }
        except SampleError as error:
            folder = self._pairs.folder
            raise UserError(f"{folder}: pair {pair.id!r}: {error}; see `sketchprep verify {folder}`") from None
        planes = {n: p[None] if p.ndim == 2 else p.transpose(2, 0, 1) for n, p in pictures.items()}
        scale = self.size / self._pairs.size
        points = pair.landmarks
        return planes, None if points is None else (points + 0.5) * scale - 0.5


def held_out(
    data: str | os.PathLike[str], *, size: int, sketch: str = "sketch", photos: bool = True, limit: int | None = None
) -> PairedFaces:
    """Pairs to judge by: those of the split ``test``, else of ``val``, else the first few of ``train``.

    Parameters
    ----------
    data, size, sketch, photos, limit
        See `PairedFaces`.

    Returns
    -------
    PairedFaces
        Its `split` tells which.

    Raises
    ------
    UserError
        As `PairedFaces`.
    """
    from sketchprep.datasets.reader import open_pairs

    there = set(open_pairs(data).table["split"].unique().to_pylist())
    split = next((name for name in ("test", "val") if name in there), "train")
    few = limit if split != "train" else min(limit or HELD_OUT, HELD_OUT)
    return PairedFaces(data, size=size, split=split, sketch=sketch, photos=photos, limit=few)


@lru_cache(maxsize=8)
def _opened(given: tuple[tuple[str, Any], ...]) -> PairedFaces:
    return PairedFaces(**dict(given))


def _stack(pairs: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    return {name: np.stack([pair[name] for pair in pairs]) for name in pairs[0]}


def _checked_recipe(pairs: PairDataset, size: int) -> str | None:
    """Refuse a dataset without pairs, in another frame or of a size that will not do; return its recipe's hash."""
    from sketchprep.datasets.layout import read_recipe

    frame = pairs.recipe.get("align", {}).get("template")
    if size <= 0 or size % 64:
        raise UserError(f"size={size}: must be a multiple of 64")
    if not len(pairs):
        raise UserError(f"{pairs.folder}: holds no pairs; see failures.parquet there for the reasons, and build again")
    if frame != "ffhq":
        raise UserError(
            f"{pairs.folder}: its faces are in the frame '{frame}', where the parts' windows do not fit; "
            "build with align.template=ffhq"
        )
    if pairs.size < size:
        raise UserError(
            f"{pairs.folder}: its pictures have {pairs.size} px, fewer than size={size}; "
            f"build with size={size}, or train a smaller preset"
        )
    if pairs.size % size:
        fitting = [s for s in range(64, pairs.size + 1, 64) if pairs.size % s == 0]
        raise UserError(
            f"{pairs.folder}: pictures of {pairs.size} px cannot be shrunk to size={size} by a whole factor; "
            + (f"take one of {', '.join(map(str, fitting))}, or " if fitting else "")
            + f"build with size={size}"
        )
    return read_recipe(pairs.folder).get("hash")


def _keep_split(pairs: PairDataset, split: str) -> None:
    import pyarrow.compute as pc

    known = sorted(pairs.table["split"].unique().to_pylist())
    if split not in (*known, ALL):
        raise UserError(f"split={split}: {pairs.folder} has no such split; name one of {', '.join([*known, ALL])}")
    if split != ALL:
        pairs.table = pairs.table.filter(pc.equal(pairs.table["split"], split))


def _stage(pairs: PairDataset, sketch: str) -> str:
    """The member that holds the stage."""
    final = pairs.recipe["sketch"]
    if sketch in ("sketch", final):
        return "sketch"
    if sketch not in pairs.stages:
        known = ", ".join(["sketch" + (f" ({final})" if final else ""), *pairs.stages[1:]])
        raise UserError(f"sketch={sketch}: {pairs.folder} stores no such stage, only {known}; name one of these")
    return sketch


def _narrowed(pairs: PairDataset, stages: Sequence[str], limit: int | None) -> pa.Table:
    """The index with no more than what is looked up at each step: ten times faster, and no needless reading."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pairs.table.select(["id", "shard", "members", "landmarks"]).slice(0, limit).combine_chunks()
    lists = table["members"].combine_chunks()
    members = lists.flatten()
    stems = pc.replace_substring_regex(members.field("name"), pattern=r"\.[^.]*$", replacement="")
    wanted = pc.is_in(stems, value_set=pa.array(stages))
    counts = np.bincount(pc.list_parent_indices(lists).filter(wanted).to_numpy(), minlength=len(table))
    if counts.min() < len(stages):
        first = table["id"][int(np.argmin(counts))].as_py()
        raise UserError(f"{pairs.folder}: pair {first!r} stores no {' or no '.join(stages)}; build it again")
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    kept = pa.ListArray.from_arrays(pa.array(offsets), members.filter(wanted))
    return table.set_column(table.schema.get_field_index("members"), "members", kept)


def _square(pair: Pair, stage: str, size: int) -> np.ndarray:
    picture = pair[stage]
    if picture.shape[:2] != (size, size):
        height, width = picture.shape[:2]
        raise SampleError("size", f"its {Path(stage).name} has {width}×{height} px, not {size}×{size}")
    return picture
