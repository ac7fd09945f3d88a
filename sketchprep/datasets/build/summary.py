"""What a build, or its dry run, says at its end: what was left out, and what to know of the photos that were taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sketchprep.datasets import plan
from sketchprep.datasets.build.near_duplicates import MOST_PHOTOS
from sketchprep.datasets.left_out import LeftOut, Reason
from sketchprep.datasets.schema import PLAN
from sketchprep.io.tables import tables
from sketchprep.sketching import selection

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.datasets.sources.base import Source
    from sketchprep.sketching.recipe import Recipe

__all__ = ["BuildSummary", "summarize_build", "summarize_plan"]

PATTERN = set("[]*?")
LACKING = {
    "attributes": "have no attributes: those rules do not apply to them",
    "pose": "have no pose annotation: it is estimated from the landmarks",
}


@dataclass(frozen=True)
class BuildSummary:
    """The last lines of a build.

    Attributes
    ----------
    left_out : LeftOut
        What became no pair, and what the sources met and did not offer.
    notes : tuple of str
        Sentences on the photos that were taken.
    """

    left_out: LeftOut = field(default_factory=LeftOut)
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Notes, then the block of what was left out."""
        return "\n".join(
            [*(f"note      {note}" for note in self.notes), self.left_out.text() or "nothing was left out"]
        )


def summarize_build(
    recipe: Recipe, sources: Sequence[Source], planned: Path, failures: Iterable[pa.Table]
) -> BuildSummary:
    """Sum up a planned build.

    Parameters
    ----------
    recipe : Recipe
    sources : sequence of Source
    planned : Path
        The plan.
    failures : iterable of pyarrow.Table
        What became no pair so far, in the columns of ``failures.parquet``.
    """
    lacking = _lacking(recipe, planned)
    notes = [*_notes(recipe, sources, lacking, plan.split_counts(planned)), *_alike(planned)]
    if PATTERN & set(str(planned.parent.absolute())):
        notes.append(
            "Hugging Face datasets takes [, ], * and ? in a folder's name for a pattern: rename it to load it there"
        )
    return BuildSummary(_left_out(sources, failures), tuple(notes))


def summarize_plan(
    recipe: Recipe,
    sources: Sequence[Source],
    lacking: Mapping[str, int],
    splits: Mapping[str, int],
    failures: Iterable[pa.Table],
) -> BuildSummary:
    """Sum up a dry run, whose plan is not kept: annotations missing by kind, photos by split, what is not planned."""
    unknown = "the same photo twice, and what the pictures show: judged when the build runs"
    return BuildSummary(_left_out(sources, failures), (*_notes(recipe, sources, lacking, splits), unknown))


def _left_out(sources: Sequence[Source], failures: Iterable[pa.Table]) -> LeftOut:
    """What the rows say, and what the sources met besides: their refusals are rows already."""
    found = LeftOut()
    for rows in failures:
        found.add_rows(rows)
    for source in sources:
        met = source.left_out()
        found.update(LeftOut({r: entry for r, entry in met.reasons.items() if r not in found.reasons}))
    return found


def _notes(
    recipe: Recipe, sources: Sequence[Source], lacking: Mapping[str, int], splits: Mapping[str, int]
) -> list[str]:
    rules = recipe.select
    missing = selection.unjudged(
        lacking,
        exclude_attributes=rules.exclude_attributes,
        require_attributes=rules.require_attributes,
        pose_limits=rules.pose.limits,
    )
    notes = [f"{count:,} photos {LACKING[name]}" for name, count in missing.items()]
    split, count = recipe.split, sum(splits.values())
    if split.method == "share" and split.test and count > 1 and not splits.get("test"):
        notes.append(
            f"no photo is kept for testing: {split.test:,} of {split.of:,} is none of {count:,}; where an evaluation "
            f"needs some, ask for them in a new folder, with --set split.test={-(-count // 10)} --set split.of={count}"
        )
    if split.near_duplicates == "drop" or (split.near_duplicates == "together" and splits.get("test")):
        if any(source.listed for source in sources):
            notes.append("near-duplicates were not looked for: photos of a list are not opened for the plan")
        elif count > MOST_PHOTOS:
            notes.append(f"near-duplicates were not looked for: there are more than {MOST_PHOTOS:,} photos")
    return notes


def _lacking(recipe: Recipe, planned: Path) -> Counter[str]:
    """``"attributes"`` and ``"pose"`` to the number of photos without, as far as rules ask for them."""
    rules = recipe.select
    asked = {"attributes": rules.exclude_attributes or rules.require_attributes, "pose": rules.pose.limits}
    names = [name for name, wanted in asked.items() if wanted]
    counts: Counter[str] = Counter()
    for table in tables(planned, ["path", *names], kind=PLAN) if names else ():
        photos = table.filter(table["path"].is_valid())
        counts.update({name: photos[name].null_count for name in names})
    return counts


def _alike(planned: Path) -> list[str]:
    """Sentences on near-duplicates that are in the plan: pairs within a split, and across splits."""
    followers: dict[str, tuple[str, str]] = {}
    for table in tables(planned, ["id", "alike", "split"], kind=PLAN):
        if table["alike"].null_count < len(table):
            rows = table.filter(table["alike"].is_valid()).to_pylist()
            followers |= {row["id"]: (row["alike"], row["split"]) for row in rows if row["split"]}
    firsts = {first for first, _ in followers.values()}
    splits: dict[str, str] = {}
    for table in tables(planned, ["id", "split"], kind=PLAN) if firsts else ():
        ids = zip(plan.column(table, "id"), plan.column(table, "split"), strict=True)
        splits |= {id_: split for id_, split in ids if id_ in firsts and split}
    together, apart = Reason(), Reason()
    for id_, (first, split) in followers.items():
        group = together if splits.get(first) == split else apart
        group.count += 1
        group.names = [*group.names, f"{id_} like {first}"][:3]
    notes = []
    if together.count:
        notes.append(
            f"{together.count:,} near-duplicates share the split of the photo that they repeat ({together.text()})"
        )
    if apart.count:
        notes.append(f"{apart.count:,} near-duplicates repeat a photo of another split ({apart.text()})")
    return notes
