"""What the first of two passes leaves of a shard: one tar under ``passes/``, whole or not there, gone with the second.

It holds finished members, what the second pass reads as PNG, and each photo's row, and is no part of the dataset.
"""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.core.progress import read_reports
from sketchprep.datasets.build import passes
from sketchprep.datasets.build.item import WorkItem
from sketchprep.errors import UserError
from sketchprep.io import shards

if TYPE_CHECKING:
    from sketchprep.core.progress import Meter
    from sketchprep.datasets.plan import ShardPlan
    from sketchprep.sketching.recipe import Recipe

__all__ = ["FOLDER", "REPORTS", "Writer", "demand", "failed", "names", "path", "read"]

FOLDER = "passes"
REPORTS = Path("log") / "cpu"  # the first pass' figures; the second's take them over
ROW, INPUT, END = "row.json", "in.", "end.json"


def path(out: Path, shard: str) -> Path:
    """Where a shard's half lies."""
    return out / FOLDER / f"{shard}.tar"


def names(out: Path) -> list[str]:
    """Shards whose first pass is done and whose second is not, sorted."""
    found = {p.stem for p in (out / FOLDER).glob("*.tar") if not p.name.startswith(".")}
    return sorted(found - {p.stem for p in (out / "shards").glob("*.parquet")}) if found else []


def demand(out: Path, wanted: Iterable[str]) -> None:
    """Refuse to begin a second pass over shards that lack their first one.

    Raises
    ------
    UserError
    """
    missing = sorted(set(wanted) - set(names(out)))
    if missing:
        raise UserError(
            f"--pass network: {len(missing)} shards lack their first pass ({missing[0]} is the first of them); "
            "run the same command with --pass cpu before"
        )


def failed(out: Path) -> int:
    """Photos that could not be processed, by what both passes say of themselves."""
    reports = {**read_reports(out / REPORTS), **read_reports(out / "log")}
    return sum(report["counts"].get("failed", 0) for report in reports.values())


class Writer:
    """Write a shard's half, photo by photo, into a temporary file that the caller renames."""

    def __init__(self, temporary: Path, recipe: Recipe) -> None:
        self._writer = shards.ShardWriter(temporary)
        self._kept = passes.kept(recipe)

    def add(self, item: WorkItem) -> None:
        """Append a photo: its row, finished members, and what the second pass reads."""
        from sketchprep.io import images as imageio

        points = None if item.landmarks is None else item.landmarks.tolist()
        about = {"row": item.row, "landmarks": points, "beyond": item.beyond}
        files = {ROW: json.dumps(about).encode(), **item.files}
        if item.usable:
            files |= {f"{INPUT}{name}.png": imageio.encode_png(item.images[name]) for name in self._kept}
        self._writer.add(item.number, files)

    def close(self, meter: Meter) -> None:
        """Finish the file and push it to the disk."""
        self._writer.add(0, {END: json.dumps({"seconds": dict(meter.seconds)}).encode()})
        self._writer.close()

    def abandon(self) -> None:
        """Close without finishing."""
        self._writer.abandon()


def read(out: Path, shard: ShardPlan, meter: Meter) -> Iterator[WorkItem]:
    """Read the photos of a shard's half in order; the first pass' seconds are added to `meter`.

    Raises
    ------
    UserError
        If the file is missing, damaged or of other photos; a damaged one is removed, so that it is made again.
    """
    where, count = path(out, shard.name), 0
    try:
        with tarfile.open(where) as tar:
            for group in _groups(tar):
                if END in group:
                    meter.seconds.update(Counter(meter.seconds) + Counter(json.loads(group[END])["seconds"]))
                    break
                item = _item(count, group)
                same = item.row["sha256"] == shard.digests[count] or shard.digests[count] is None
                if item.row["id"] != shard.samples[count].id or not same:
                    raise ValueError(f"it holds {item.row['id']!r} in another version or place")
                yield item
                count += 1
        if count != len(shard):
            raise ValueError(f"it ends after {count} of {len(shard)} photos")
    except FileNotFoundError:
        raise UserError(f"{where}: is not there; run the first pass of {shard.name} first (--pass cpu)") from None
    except (tarfile.TarError, ValueError, KeyError, IndexError) as error:
        where.unlink(missing_ok=True)
        raise UserError(
            f"{where}: was damaged and is removed ({error}); run the same command again to make it anew"
        ) from error


def _groups(tar: tarfile.TarFile) -> Iterator[dict[str, bytes]]:
    """Files of one photo after the other; a photo's begin with its row."""
    group: dict[str, bytes] = {}
    for member in tar:
        name = member.name.partition(".")[2]
        stream = tar.extractfile(member)
        data = stream.read() if stream is not None else b""
        if len(data) != member.size:
            raise ValueError("it breaks off")
        if name in (ROW, END) and group:
            yield group
            group = {}
        group[name] = data
    if group:
        yield group


def _item(number: int, files: dict[str, bytes]) -> WorkItem:
    import numpy as np

    from sketchprep.io import images as imageio

    about: dict[str, Any] = json.loads(files.pop(ROW))
    points = about["landmarks"]
    inputs = {name: files.pop(name) for name in list(files) if name.startswith(INPUT)}
    images = {n.removeprefix(INPUT).removesuffix(".png"): _decode(imageio, data) for n, data in inputs.items()}
    return WorkItem(number, about["row"], None if points is None else np.array(points), images, about["beyond"], files)


def _decode(imageio: Any, data: bytes) -> Any:
    """PNG to what was encoded: grey stays grey."""
    import cv2
    import numpy as np

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("a picture cannot be read")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
