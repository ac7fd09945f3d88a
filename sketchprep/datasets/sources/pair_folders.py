"""Finds the folders of photos and of sketches in a corpus of pairs, and the splits that their names tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sketchprep.errors import UserError

if TYPE_CHECKING:
    from sketchprep.datasets.sources.tree import Tree
    from sketchprep.records import Sample

__all__ = ["PairFolders", "find_pair_folders", "with_splits"]

_COMMON = (
    ("photos", "sketches"),
    ("photo", "sketch"),
    ("photos", "drawings"),
    ("images", "sketches"),
    ("A", "B"),
    ("trainA", "trainB"),
    ("train_A", "train_B"),
)
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True, slots=True)
class PairFolders:
    """A folder of photos, the one of their sketches, and the split that they hold, where their names tell one."""

    photos: str
    sketches: str
    split: str | None = None

    def exist(self, tree: Tree) -> bool:
        """Whether both are there."""
        return tree.kind(self.photos) == tree.kind(self.sketches) == "folder"


def find_pair_folders(tree: Tree, root: object) -> list[PairFolders]:
    """Find folders of common names at the top or one level down; the first pair is that of the training pictures.

    Raises
    ------
    UserError
        If there are none.
    """
    top = sorted(tree.folders(), key=lambda name: (_split(name) != "train", name))
    for photos, sketches in _COMMON:
        for above in ("", *(f"{name}/" for name in top)):
            first = PairFolders(above + photos, above + sketches)
            if first.exist(tree):
                others = [pair for pair in _other_splits(first, top) if pair.exist(tree)]
                return [replace(first, split="train"), *others] if others else [first]
    raise UserError(
        f"source pairs: {root} has no pair of folders such as photos and sketches (found: "
        f"{', '.join(sorted(top)) or 'none'}); name them with the options photos and sketches, or set layout: "
        "side-by-side"
    )


def _other_splits(first: PairFolders, top: Sequence[str]) -> Iterator[PairFolders]:
    """Where other splits may lie: testA and valA beside trainA, or test/A and val/A beside train/A."""
    above, _, photos = first.photos.rpartition("/")
    sketches = first.sketches.rpartition("/")[2]
    if photos.startswith("train"):
        for name in ("val", "test"):
            renamed = [f"{above}/{name}{folder.removeprefix('train')}" for folder in (photos, sketches)]
            yield PairFolders(renamed[0].removeprefix("/"), renamed[1].removeprefix("/"), name)
    elif _split(above) == "train":
        for name in top:
            if _split(name) in ("val", "test"):
                yield PairFolders(f"{name}/{photos}", f"{name}/{sketches}", _split(name))


def with_splits(samples: list[Sample]) -> list[Sample]:
    """Take over the splits that the topmost folders in the ids name, if train and another one are among them."""
    splits = [_split(sample.id.partition("/")[0]) for sample in samples]
    if not {"train"} < {split for split in splits if split}:
        return samples
    return [replace(s, split=s.split or split) for s, split in zip(samples, splits, strict=True)]


def _split(folder: str) -> str | None:
    return _SPLITS.get(folder.lower())
