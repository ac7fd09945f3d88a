"""What the sources of a recipe offer now, in planning order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchprep.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.datasets.sources.base import Source
    from sketchprep.records import Failure

__all__ = ["Listing", "list_sources"]


@dataclass(frozen=True)
class Listing:
    """The sources in the recipe's order, and how many samples of each are wanted at most.

    It is read anew each time, a batch after the other: with a list of ten million photos none of it is held.
    """

    sources: tuple[Source, ...]
    limit: int | None = None

    def count(self) -> int:
        """Number of samples."""
        return sum(source.count(self.limit) for source in self.sources)

    def batches(self) -> Iterator[tuple[Source, pa.Table]]:
        """Yield samples as the columns of `sketchprep.datasets.schema.sample_schema`, each batch with its source."""
        for source in self.sources:
            for batch in source.batches(self.limit):
                yield source, batch

    def refused(self) -> list[Failure]:
        """What was refused while listing."""
        return [failure for source in self.sources for failure in source.refused()]


def list_sources(sources: Sequence[Source], limit: int | None = None) -> Listing:
    """List every source in the recipe's order; with `limit`, only the first so many samples of each.

    Raises
    ------
    UserError
        If there is not one photo.
    """
    listing = Listing(tuple(sources), limit)
    if not listing.count():
        where = ", ".join(f"{s.name} in {s.root}" for s in sources)
        raise UserError(f"no photo was found ({where}); check --root, or see `sketchprep sources`")
    return listing
