"""Statistics of a corpus, as a plain dictionary and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sketchprep.datasets.left_out import LeftOut, Reason

if TYPE_CHECKING:
    from sketchprep.datasets.sources.base import Source
    from sketchprep.records import Sample

__all__ = ["describe", "render_description"]

QUANTILES = (0, 5, 25, 50, 75, 95, 100)
LIMITS = (5, 10, 15, 20, 30, 45)
AXES = ("yaw", "pitch", "roll")


def describe(source: Source) -> dict[str, Any]:
    """Summarise what a source lists, what is missing and what that switches off; no picture is opened.

    Returns
    -------
    dict
        JSON values: ``source``, ``root``, ``about``, ``licence``, ``frame``, ``photos``, ``bytes``, ``refused`` (kind
        to count), ``left out`` (reason to count, names and a sentence), ``attributes`` (name to share of the annotated
        photos), ``poses`` (quantiles in degrees by axis; share within limits on all axes), ``splits``,
        ``annotations``, ``missing``.  What a source has nothing of is absent.
    """
    scan = source.scan()
    samples = scan.samples
    summary: dict[str, Any] = {
        "source": source.name,
        "about": source.about,
        "root": str(source.root),
        "licence": source.licence,
        "homepage": source.homepage,
        "frame": source.frame,
        "photos": len(samples),
        "bytes": sum(max(0, sample.size) for sample in samples),
        "pairs": sum(sample.sketch_path is not None for sample in samples),
        "refused": dict(sorted(Counter(failure.kind for failure in scan.refused).items())),
        "left out": source.left_out().values(),
        **{key: value for key, value in scan.notes.items() if key != "attribute names"},
        "attributes": _attributes(samples, source.attribute_names()),
        "poses": _poses([sample.pose for sample in samples if sample.pose is not None]),
        "splits": dict(sorted(Counter(sample.split for sample in samples if sample.split).items())),
    }
    return {key: value for key, value in summary.items() if value or key == "photos"} | source.details()


def _attributes(samples: Sequence[Sample], names: Sequence[str]) -> dict[str, float]:
    annotated = [sample.attributes for sample in samples if sample.attributes is not None]
    counts = Counter(name for attributes in annotated for name in attributes)
    return {name: round(counts[name] / len(annotated), 4) for name in names} if annotated else {}


def _poses(poses: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    if not poses:
        return {}
    quantiles = {}
    for axis, angles in zip(AXES, zip(*poses, strict=True), strict=True):
        ordered = sorted(angles)
        quantiles[axis] = {f"{q} %": round(ordered[round(q / 100 * (len(ordered) - 1))], 1) for q in QUANTILES}
    largest = [max(map(abs, pose)) for pose in poses]
    within = {f"{limit}°": round(sum(angle <= limit for angle in largest) / len(poses), 4) for limit in LIMITS}
    return {"photos": len(poses), "quantiles": quantiles, "share within": within}


def render_description(description: dict[str, Any]) -> str:
    """Write a source's description for a terminal; the text ends without a newline."""
    d = description
    size = f", {d['bytes'] / 1e6:,.1f} MB" if "bytes" in d else ""
    pairs = " (each with its sketch)" if "pairs" in d else ""
    lines = [f"{d['source']}: {d['about']}", f"root      {d['root']}", f"photos    {d['photos']:,}{pairs}{size}"]
    lines += [f"{key:<9} {d[key]}" for key in ("layout", "frame", "licence", "homepage") if key in d]
    lines += [f"{key:<9} {_counts(d[key])}" for key in ("splits",) if key in d]
    if "annotations" in d:
        # Of what does not match, only what there is.
        rows = {name: count for name, count in d["annotations"].items() if count or name.endswith(" rows")}
        lines.append(f"table     {_counts(rows)}")
    if "masks" in d:
        masks = d["masks"]
        lines.append(f"masks     {masks['files']:,} files for {masks['photos with masks']:,} photos")
        lines.append(f"          {_counts({k: v for k, v in masks['by class'].items() if v})}")
    lines += [f"missing   {item['file']}: switches off {item['off']}" for item in d.get("missing", ())]
    if "attributes" in d:
        lines += ["attributes (share of the annotated photos)", *_columns(d["attributes"])]
    if "poses" in d:
        lines += _pose_lines(d["poses"])
    if "left out" in d:
        lines.append(LeftOut({reason: Reason(**entry) for reason, entry in d["left out"].items()}).text())
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _columns(shares: dict[str, float], columns: int = 3) -> list[str]:
    cells = [f"{name:<20} {100 * share:5.1f} %" for name, share in shares.items()]
    rows = -(-len(cells) // columns)
    return ["  " + "   ".join(cells[row::rows]) for row in range(rows)]


def _pose_lines(poses: dict[str, Any]) -> list[str]:
    lines = [f"poses of {poses['photos']:,} photos, in degrees"]
    header = next(iter(poses["quantiles"].values()))
    lines.append("  quantile" + "".join(f"{name:>8}" for name in header))
    for axis, values in poses["quantiles"].items():
        lines.append(f"  {axis:<8}" + "".join(f"{value:8.1f}" for value in values.values()))
    shares = ", ".join(f"{limit} {100 * share:.1f} %" for limit, share in poses["share within"].items())
    lines.append(f"  all three angles within {shares}")
    return lines
