"""What a command did not take: counted by reason, with the first names; one block for `sources`, `plan` and `build`."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.records import Failure

__all__ = ["LeftOut", "Reason"]

NAMES = 3


@dataclass(slots=True)
class Reason:
    """How many things were left out for one reason, the first of them by name, and a sentence on one of them."""

    count: int = 0
    names: list[str] = field(default_factory=list)
    why: str = ""

    def text(self) -> str:
        """The names and the sentence.  Names are shown as Python literals: a newline in one cannot forge a line."""
        rest = ", …" if self.names and self.count > len(self.names) else ""
        names = ", ".join(map(repr, self.names)) + rest
        return ": ".join(part for part in (names, self.why) if part)


@dataclass
class LeftOut:
    """Reasons in the order in which they came up, each with its count and its first names."""

    reasons: dict[str, Reason] = field(default_factory=dict)

    def add(self, reason: str, name: str = "", why: str = "", *, count: int = 1) -> None:
        """Count one thing, or several of which one is named."""
        entry = self.reasons.setdefault(reason, Reason())
        entry.count += count
        entry.why = entry.why or why
        if name:
            insort(entry.names, name)
            del entry.names[NAMES:]

    def take_back(self, reason: str, name: str) -> None:
        """Count one thing less that was added by name."""
        entry = self.reasons.get(reason)
        if entry is None:
            return
        entry.count -= 1
        if name in entry.names:
            entry.names.remove(name)
        if not entry.count:
            del self.reasons[reason]

    def add_failures(self, failures: Iterable[Failure]) -> None:
        """Count rows that say why a photo is not in the dataset, by their kind."""
        for failure in failures:
            self.add(failure.kind, failure.id, failure.message)

    def add_rows(self, rows: pa.Table) -> None:
        """Count rows of ``failures.parquet`` by their kind; of each kind only the first are looked at."""
        import pyarrow.compute as pc

        for kind in rows["kind"].unique().to_pylist():
            same = rows.filter(pc.equal(rows["kind"], kind))
            for row in same.slice(0, NAMES).select(["id", "message"]).to_pylist():
                self.add(kind, row["id"], row["message"], count=0)
            self.reasons[kind].count += len(same)

    def update(self, other: LeftOut) -> None:
        """Add what another one holds."""
        for reason, entry in other.reasons.items():
            self.add(reason, why=entry.why, count=entry.count)
            for name in entry.names:
                self.add(reason, name, count=0)

    @property
    def counts(self) -> Counter[str]:
        """Reason to count."""
        return Counter({reason: entry.count for reason, entry in self.reasons.items()})

    def values(self) -> dict[str, Any]:
        """Plain JSON values: reason to ``count``, ``names`` and ``why``."""
        return {r: {"count": e.count, "names": e.names, "why": e.why} for r, e in self.reasons.items()}

    def text(self) -> str:
        """The block, a line a reason; empty if nothing was left out."""
        if not self.reasons:
            return ""
        width = max(map(len, self.reasons))
        lines = [f"  {reason:<{width}} {entry.count:>7,}  {entry.text()}" for reason, entry in self.reasons.items()]
        return "\n".join(["left out", *(line.rstrip() for line in lines)])

    def sentence(self) -> str:
        """The same in one line, for a message."""
        return "; ".join(f"{entry.count:,} {reason} ({entry.text()})" for reason, entry in self.reasons.items())
