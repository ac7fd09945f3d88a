"""A built dataset as a source: further stages on photos that are framed and selected already."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.datasets.layout import is_shard_name, read_recipe
from sketchprep.datasets.schema import INDEX, SHARD
from sketchprep.datasets.sources.base import Fingerprint, Scan, Source
from sketchprep.errors import SampleError, UserError
from sketchprep.io.object_store import is_url
from sketchprep.io.tables import tables
from sketchprep.records import DecodedPhoto, Sample

if TYPE_CHECKING:
    import numpy as np

    from sketchprep.sketching.recipe import Recipe

__all__ = ["DatasetSource"]

HELD_SHARDS = 8


class DatasetSource(Source):
    """The pairs of a finished dataset: stored photo, landmarks, pose, attributes, split and label map are taken over.

    Stages that the dataset stores, and that the new recipe defines alike, are taken over too; the others run on the
    stored photo.  So a recipe may be built in turns: on CPU nodes what needs no network, then the rest on GPU nodes.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    """

    name = "dataset"
    licence = "that of the dataset's photos: see its README.md"
    about = "a dataset built by sketchprep, to add stages to"
    obtain = "give the folder of a finished dataset with --root"

    def __init__(self, root: Path) -> None:
        if is_url(root):
            raise UserError(f"--root {root}: source dataset reads a local copy; make one with `sketchprep pull`")
        super().__init__(root)
        if not (self.root / "index.parquet").is_file():
            raise UserError(f"--root {root}: holds no finished dataset (index.parquet is missing); {self.obtain}")
        self.recipe: dict[str, Any] = read_recipe(self.root)["recipe"]
        template = self.recipe["align"]["template"]
        self.frame = None if template == "none" else template
        self._reused: dict[str, str] = {}
        self._rows: OrderedDict[str, dict[int, dict[str, Any]]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_rows": OrderedDict()}

    def reuse_stages(self, recipe: Recipe) -> frozenset[str]:
        """Stages that the dataset stores in the recipe's size and frame, and that both define alike to the photo."""
        self._reused = {}
        if recipe.size == self.recipe["size"] and recipe.align.template == self.recipe["align"]["template"]:
            members = {name: f"{name}.png" for name in self.recipe["store"]}
            if self.recipe["sketch"]:
                members[self.recipe["sketch"]] = "sketch.png"
            wanted = recipe.canonical()["stages"]
            same = {name for name in recipe.graph if _definition(wanted, name) == _definition(self._stages, name)}
            self._reused = {name: member for name, member in members.items() if name in same}
        return frozenset(self._reused)

    @property
    def _stages(self) -> dict[str, Any]:
        return self.recipe["stages"]

    def attribute_names(self) -> tuple[str, ...]:
        """Return the attributes that are true of any photo, and those that its recipe selected by."""
        rules = self.recipe["select"]
        names = {*rules["exclude_attributes"], *rules["require_attributes"]}
        for table in tables(self.root / "index.parquet", ["attributes"], kind=INDEX):
            names |= set(table["attributes"].combine_chunks().flatten().unique().to_pylist())
        return tuple(sorted(names))

    def mask_names(self) -> tuple[str, ...]:
        """Return the classes of the label maps, if the dataset stores any."""
        from sketchprep.ops.labels import CLASSES

        return CLASSES if self.recipe["labels"] else ()

    def _scan(self) -> Scan:
        several = len(self.recipe["sources"]) > 1
        try:
            return Scan([self._sample(row, several=several) for row in self._index()])
        except SampleError as error:
            raise UserError(f"{self.root / 'index.parquet'}: is damaged ({error}); {INDEX.remedy}") from None

    def _index(self) -> Iterator[dict[str, Any]]:
        columns = ["ordinal", "id", "source", "split", "shard", "members", "pose", "attributes"]
        for table in tables(self.root / "index.parquet", columns, kind=INDEX):
            yield from table.to_pylist()

    def _sample(self, row: dict[str, Any], *, several: bool) -> Sample:
        return Sample(
            id=f"{row['source']}/{row['id']}" if several else row["id"],
            source=self.name,
            path=f"{row['shard']}/{row['ordinal']}",
            size=_photo(row)["size"],
            attributes=None if row["attributes"] is None else tuple(row["attributes"]),
            pose=None if row["pose"] is None else tuple(row["pose"]),
            split=row["split"],
        )

    def load(self, sample: Sample) -> tuple[str, DecodedPhoto]:
        """Open a pair: the sha256 of its stored photo, and the photo with landmarks and reused stages.

        Raises
        ------
        SampleError
            If its shard is missing or cut short, or its photo cannot be decoded.
        """
        import numpy as np

        from sketchprep.io import images

        row = self._row(sample)
        data = self._member(row, _photo(row))
        landmarks = row["landmarks"]
        picture = DecodedPhoto(
            images.decode(data),
            encoded=data if images.stores_as_is(data) else None,
            sketch=None if self.recipe["sketch"] else self._gray(row, "sketch.png"),
            landmarks=None if landmarks is None else np.array(landmarks, np.float64).reshape(68, 2),
            stages={name: self._gray(row, member) for name, member in self._reused.items()},
        )
        return hashlib.sha256(data).hexdigest(), picture

    def fingerprint(self, sample: Sample, *, perceptual: bool = False) -> Fingerprint:
        """Return the sha256 of the stored photo, as the index has it; near-duplicates were that dataset's affair."""
        return Fingerprint(_photo(self._row(sample))["sha256"])

    def masks(self, sample: Sample) -> dict[str, np.ndarray]:
        """Return a mask for each class of the label map."""
        import numpy as np

        from sketchprep.ops.labels import CLASSES

        row = self._row(sample)
        if not any(member["name"] == "labels.png" for member in row["members"]):
            return {}
        labels = self._gray(row, "labels.png")
        return {CLASSES[number]: labels == number for number in np.unique(labels)}

    def _row(self, sample: Sample) -> dict[str, Any]:
        shard, _, ordinal = sample.path.partition("/")
        if not is_shard_name(shard):
            raise SampleError("unreadable", f"index.parquet names a shard {shard!r}")
        if shard not in self._rows:
            columns = ["ordinal", "shard", "members", "landmarks", "kind"]
            try:
                rows = [
                    row
                    for table in tables(self.root / "shards" / f"{shard}.parquet", columns, kind=SHARD)
                    for row in table.to_pylist()
                ]
            except (OSError, UserError) as error:
                raise SampleError("unreadable", f"shards/{shard}.parquet cannot be read ({error})") from None
            self._rows[shard] = {row["ordinal"]: row for row in rows if row["kind"] is None and row["members"]}
            while len(self._rows) > HELD_SHARDS:
                self._rows.popitem(last=False)
        try:
            return self._rows[shard][int(ordinal)]
        except (KeyError, ValueError):
            raise SampleError("unreadable", f"shards/{shard}.parquet has no pair {ordinal}") from None

    def _gray(self, row: dict[str, Any], name: str) -> np.ndarray:
        from sketchprep.io import images

        member = next((member for member in row["members"] if member["name"] == name), None)
        if member is None:
            raise SampleError("unreadable", f"shards/{row['shard']}.tar holds no {name} of this pair")
        return images.decode_gray(self._member(row, member))

    def _member(self, row: dict[str, Any], member: Mapping[str, Any]) -> bytes:
        path = f"shards/{row['shard']}.tar"
        try:
            with (self.root / path).open("rb") as file:
                inside = member["offset"] >= 0 and 0 <= member["size"] <= os.fstat(file.fileno()).st_size
                data = os.pread(file.fileno(), member["size"], member["offset"]) if inside else b""
        except OSError as error:
            raise SampleError("unreadable", f"{path} cannot be read ({error.strerror})") from None
        if not inside or len(data) != member["size"]:
            raise SampleError("truncated", f"{path} is cut short; see `sketchprep verify`")
        return data


def _photo(row: Mapping[str, Any]) -> dict[str, Any]:
    photo = next((member for member in row["members"] or [] if member["name"].startswith("photo.")), None)
    if photo is None:
        raise SampleError("unreadable", f"pair {row['ordinal']} holds no photo")
    return photo


def _definition(stages: Mapping[str, Any], name: str) -> list[Any]:
    """A stage and all that it reads, down to the photo; empty if there is no such stage."""
    chain: list[Any] = []
    while name != "photo":
        if name not in stages or stages[name] in chain:
            return []
        chain.append(stages[name])
        name = stages[name]["input"]
    return chain
