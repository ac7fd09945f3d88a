"""Dataset card ``README.md``: the header that lets Hugging Face ``datasets`` open the shards, contents and licences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sketchprep.core import cards, weights
from sketchprep.core.version import VERSION
from sketchprep.datasets import sources
from sketchprep.datasets.layout import SPLITS, read_recipe
from sketchprep.io.files import atomic
from sketchprep.sketching import stages

if TYPE_CHECKING:
    from sketchprep.datasets.status import Status

__all__ = ["licences", "webdataset_header", "write"]

SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write(out: Path, status: Status) -> None:
    """Write the card of a dataset.

    Parameters
    ----------
    out : Path
        The dataset.
    status : Status
        What `sketchprep.datasets.status.status` says of it.
    """
    stored = read_recipe(out)
    header = yaml.safe_dump(_header(status, stored), sort_keys=False, allow_unicode=True)
    text = f"---\n{header}---\n\n{_body(status, stored)}"
    with atomic(out / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _header(status: Status, stored: dict[str, Any]) -> dict[str, Any]:
    recipe = stored["recipe"]
    photo = "photo.png" if recipe["photo"]["format"] == "png" else "photo.jpg"
    names = ["sketch", *recipe["store"], *(["labels"] if recipe["labels"] else [])]
    return {
        "pretty_name": recipe["name"],
        "license": "other",
        "task_categories": ["image-to-image"],
        "size_categories": [next((name for most, name in SIZE_CATEGORIES if status.pairs < most), "n>1M")],
        "tags": ["sketch", "face", "webdataset"],
        **webdataset_header(
            [name for name in SPLITS if status.splits.get(name)], [photo, *(f"{name}.png" for name in names)]
        ),
    }


def _body(status: Status, stored: dict[str, Any]) -> str:
    recipe = stored["recipe"]
    splits = ", ".join(f"{n:,} {name}" for name, n in sorted(status.splits.items()))
    kinds = ", ".join(f"{n:,} {kind}" for (_, kind), n in status.failures.most_common()) or "none"
    members = ["photo", "sketch", *recipe["store"], *(["labels"] if recipe["labels"] else [])]
    stages = "\n".join(f"| `{n}` | {s['op']} | `{s['input']}` |" for n, s in recipe["stages"].items())
    return cards.render(
        "dataset",
        name=recipe["name"],
        description=recipe["description"],
        pairs=f"{status.pairs:,}",
        size=recipe["size"],
        frame=recipe["align"]["template"],
        version=VERSION,
        splits=splits,
        left_out=kinds,
        members=", ".join(f"`{member}`" for member in members),
        sketch=recipe["sketch"],
        stages=stages,
        folder=status.folder.name,
        licences=cards.bullets(licences(recipe)),
    )


def licences(recipe: dict[str, Any]) -> list[str]:
    """What the licences of a recipe's photos and weights ask, a line of Markdown each."""
    lines = []
    for spec in recipe["sources"]:
        kind = sources.source_class(spec["name"])
        lines.append(f"photos `{spec['name']}`: {kind.licence}" + (f" ({kind.homepage})" if kind.homepage else ""))
    own = {name: s["weights"] for name, s in recipe["stages"].items() if s.get("weights") is not None}
    lines += [f"weights of stage `{name}`: your own file {Path(path).name}" for name, path in own.items()]
    used = {a for n, s in recipe["stages"].items() if n not in own and (a := stages.OPS[s["op"]].asset)}
    for name in sorted({"dlib-landmarks-68", *used}):
        state = weights.state(name)
        lines.append(f"weights `{name}`: {state.licence}" + (f"; {state.restriction}" if state.restriction else ""))
    return lines


def webdataset_header(splits: Sequence[str], members: Sequence[str]) -> dict[str, Any]:
    """Return the keys ``configs`` and ``dataset_info`` of the card's YAML header.

    The columns are written out because ``datasets`` would otherwise derive them from the first five pairs, and refuse
    a dataset in which only some pairs have a label map, landmarks or a pose.

    Parameters
    ----------
    splits : sequence of str
        The splits that have shards.
    members : sequence of str
        Stored pictures, for instance ``["photo.jpg", "sketch.png", "labels.png"]``.

    Returns
    -------
    dict
        Plain values for `yaml.safe_dump`.
    """
    files = [{"split": split, "path": f"shards/{split}-*.tar"} for split in splits]
    columns = [
        *({"name": member, "dtype": "image"} for member in members),
        {"name": "json", "struct": _json_columns()},
        *({"name": name, "dtype": "string"} for name in ("__key__", "__url__")),
    ]
    return {
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": {"config_name": "default", "features": columns},
    }


def _json_columns() -> list[dict[str, Any]]:
    """Columns of ``KEY.json``."""
    window = [
        {"name": "part", "dtype": "string"},
        *({"name": n, "dtype": "int64"} for n in ("x", "y", "width", "height")),
    ]
    return [
        {"name": "ordinal", "dtype": "int64"},
        *({"name": name, "dtype": "string"} for name in ("id", "source", "split", "sha256")),
        {"name": "landmarks", "list": "float64"},
        {"name": "pose", "list": "float64"},
        {"name": "attributes", "list": "string"},
        {"name": "windows", "list": window},
    ]
