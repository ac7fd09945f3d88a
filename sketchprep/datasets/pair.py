"""One pair of a built dataset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FARTHEST", "Pair"]

FARTHEST = 1 << 15
"""No landmark and no window lies so many pixels away from the frame."""


@dataclass(frozen=True, repr=False)
class Pair:
    """One pair of a dataset, its pictures decoded when they are asked for.

    Attributes
    ----------
    row : dict
        The pair's row of ``index.parquet``: id, source, split, attributes, pose, windows and so on.
    files : dict of str to bytes
        The stored files by member name, for instance ``"photo.jpg"`` or ``"sketch.png"``.
    """

    row: dict[str, Any]
    files: dict[str, bytes]

    def __repr__(self) -> str:
        return f"Pair(id={self.id!r}, split={self.split!r}, files=[{', '.join(self.files)}])"

    @property
    def id(self) -> str:
        return self.row["id"]

    @property
    def ordinal(self) -> int:
        return self.row["ordinal"]

    @property
    def split(self) -> str:
        return self.row["split"]

    @cached_property
    def photo(self) -> np.ndarray:
        """RGB uint8, shape (size, size, 3)."""
        return self["photo"]

    @cached_property
    def sketch(self) -> np.ndarray:
        """Grey uint8, shape (size, size), black ink on white."""
        return self["sketch"]

    @cached_property
    def landmarks(self) -> np.ndarray | None:
        """The 68 landmarks, float32, shape (68, 2): (x, y) in pixels of the frame; None where there are none."""
        import numpy as np

        flat = self.row["landmarks"]
        if flat is None:
            return None
        points = np.asarray(flat, np.float32).reshape(68, 2)
        if not (np.abs(points) < FARTHEST).all():
            raise self.damaged("landmarks")
        return points

    def damaged(self, what: str) -> UserError:
        """The sentence about a part of the row that cannot be."""
        shard = f"shards/{self.row['shard']}.parquet"
        return UserError(
            f"{shard}: {what} of pair {self.id!r} are damaged; delete it and index.parquet, and run the same build "
            "command: the shard is made again"
        )

    def __getitem__(self, name: str) -> np.ndarray:
        """Decode a stored picture by its stage: ``"photo"``, ``"sketch"``, ``"hed"``, ``"labels"`` and so on."""
        from sketchprep.io import images

        for member, data in self.files.items():
            if member.rsplit(".", 1)[0] == name and not member.endswith(".json"):
                return images.decode(data) if name == "photo" else images.decode_gray(data)
        raise KeyError(f"pair {self.id!r} stores no '{name}', only {', '.join(self.files)}")
