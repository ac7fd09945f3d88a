"""The source `portraits`: bundled CC0 photos, enough to see every stage at work."""

from __future__ import annotations

from pathlib import Path

from sketchprep.core.resources import resource
from sketchprep.datasets.sources.folder import PhotoFolder

__all__ = ["Portraits"]


class Portraits(PhotoFolder):
    """24 synthetic CC0 portraits of 1024 px with hand-made attributes; five of them selection is meant to reject."""

    name = "portraits"
    licence = "CC0-1.0"
    about = "24 bundled synthetic portraits of 1024 px, not aligned; some turned, far away, or with hat or glasses"
    companions = ("README.md", "LICENSE")
    obtain = "the portraits travel with the package: leave --root away"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.attributes = "attributes.csv" if self.tree.kind("attributes.csv") == "file" else None

    @classmethod
    def bundled(cls) -> Path | None:
        """Return the shipped folder."""
        return resource("data/portraits")

    def _id(self, path: str) -> str:
        return path.removesuffix(".jpg")
