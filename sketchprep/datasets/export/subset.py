"""The layout `shards`: a smaller copy of a dataset in its own format, with fewer pairs or fewer pixels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from sketchprep.datasets.export.base import SPLITS, Exporter, Outcome, picture_bytes, quoted
from sketchprep.datasets.schema import plan_schema, shard_table
from sketchprep.errors import SampleError, UserError
from sketchprep.io import images, shards
from sketchprep.io.files import atomic, commit
from sketchprep.ops.resize import rescale_points, resize, resize_labels
from sketchprep.records import Failure

if TYPE_CHECKING:
    import pyarrow as pa

    from sketchprep.datasets.reader import Pair

__all__ = ["Shards"]


class Shards(Exporter):
    """Shards, index, plan, recipe, card and contact sheet; every stored picture, landmarks and windows scaled along."""

    name = "shards"

    def check(self) -> None:
        odd = set(self.pairs.table["split"].unique().to_pylist()) - set(SPLITS)
        if odd:
            raise UserError(f"index.parquet: unknown split {min(odd)!r}; known: {', '.join(SPLITS)}")

    def run(self, display: Any) -> Outcome:
        """Write the shards that lack their Parquet file, then merge them as a build does."""
        from sketchprep.datasets import card, plan, preview, status
        from sketchprep.datasets.build import merge

        folder = self.out / "shards"
        folder.mkdir(exist_ok=True)
        for stale in folder.glob(".*.tmp"):
            stale.unlink()
        self._write_recipe()
        outcome, planned = Outcome(), []
        for name, numbers in self._groups():
            if not (folder / f"{name}.parquet").exists():
                self._write_shard(name, numbers, display)
                outcome.written += shards.read_shard_meta(folder / f"{name}.parquet")["pairs"]
            else:
                outcome.skipped += len(numbers)
            planned += [self._plan_row(name, number) for number in numbers]
        table = _plan_table(planned)
        shards.write_parquet(table, self.out / "plan.parquet")
        names = plan.shard_names(table)
        merge.merge(self.out, table, names)
        card.write(self.out, status.status(self.out))
        preview.write(self.out)
        failed = [row for rows in status.shard_failures(self.out, names) for row in rows.to_pylist()]
        outcome.failures = [Failure(**row) for row in failed]
        return outcome

    def _groups(self) -> Iterator[tuple[str, Sequence[int]]]:
        """Shard names and the pairs in them: the same ones whenever the same pairs are asked for."""
        splits = self.pairs.table["split"].take(list(self.numbers)).to_pylist()
        count = self.pairs.recipe["shard_size"]
        for split in SPLITS:
            chosen = [number for number, s in zip(self.numbers, splits, strict=True) if s == split]
            for at in range(0, len(chosen), count):
                yield f"{split}-{at // count:06d}", chosen[at : at + count]

    def _write_recipe(self) -> None:
        from sketchprep.datasets.layout import read_recipe
        from sketchprep.sketching.recipe import digest

        stored = read_recipe(self.pairs.folder)
        values = {"recipe": {**stored["recipe"], "size": self.size}, "depends_on": stored.get("depends_on", {})}
        origin = {"hash": stored.get("hash"), "size": self.pairs.size}
        text = yaml.safe_dump(
            {**values, "hash": digest({**values, "exported_from": origin}), "exported_from": origin},
            sort_keys=False,
            allow_unicode=True,
        )
        with atomic(self.out / "recipe.yaml") as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _write_shard(self, name: str, numbers: Sequence[int], display: Any) -> None:
        folder = self.out / "shards"
        temporary = folder / f".{name}.{os.getpid()}.tmp"
        writer = shards.ShardWriter(temporary)
        rows = []
        try:
            for number in numbers:
                rows.append(self._write_pair(writer, name, self.pairs[number]))
                if display is not None:
                    display.update(1)
            size, sha256 = writer.close()
        except BaseException:
            writer.abandon()
            temporary.unlink(missing_ok=True)
            raise
        commit(temporary, folder / f"{name}.tar")
        pairs = sum(row["kind"] is None for row in rows)
        meta = {"photos": len(rows), "pairs": pairs, "tar_bytes": size, "tar_sha256": sha256}
        shards.write_parquet(shard_table(rows), folder / f"{name}.parquet", meta)

    def _write_pair(self, writer: shards.ShardWriter, name: str, pair: Pair) -> dict[str, Any]:
        kept = ("ordinal", "id", "source", "split", "sha256")
        try:
            row = {**pair.row, **self._scaled(pair), "shard": name, "kind": None}
            files = self._files(pair, row)
        except SampleError as error:
            reason = {"stage": "export", "kind": error.kind, "message": error.message, "rejected": False}
            return {key: pair.row[key] for key in kept} | {"shard": name} | reason
        members = writer.add(pair.ordinal, files)
        row["members"] = [{n: getattr(m, n) for n in ("name", "offset", "size", "sha256")} for m in members]
        return row

    def _scaled(self, pair: Pair) -> dict[str, Any]:
        """Matrix, landmarks and windows at the new size."""
        from sketchprep.ops.face_parts import windows

        scale = self.size / self.pairs.size
        if scale == 1:
            return {}
        matrix, points = pair.row["matrix"], pair.landmarks
        shift = (scale - 1) / 2
        cut = None
        if pair.row["windows"] is not None and self.size % 64 == 0:
            cut = [{"part": part, **window._asdict()} for part, window in windows(self.size).items()]
        return {
            "matrix": None if matrix is None else [v * scale + shift * (i % 3 == 2) for i, v in enumerate(matrix)],
            "landmarks": None
            if points is None
            else [round(float(v), 3) for v in rescale_points(points, scale).ravel()],
            "windows": cut,
        }

    def _files(self, pair: Pair, row: dict[str, Any]) -> dict[str, bytes]:
        if self.size == self.pairs.size:
            return pair.files
        return {name: self._member(pair, name, row) for name in pair.files}

    def _member(self, pair: Pair, name: str, row: dict[str, Any]) -> bytes:
        stage = name.rpartition(".")[0]
        if name == "json":
            known = json.loads(pair.files[name])
            known |= {key: row[key] for key in ("landmarks", "windows") if key in known}
            return json.dumps(known, ensure_ascii=True, separators=(",", ":")).encode()
        if stage == "photo":
            return picture_bytes(pair, stage, self.size, self.pairs.size)
        image = pair[stage]
        if stage == "labels":
            return images.encode_png(resize_labels(image, self.size))
        return images.encode_png(resize(image, (self.size, self.size)))

    def _plan_row(self, shard: str, number: int) -> dict[str, Any]:
        row = self._light.slice(number, 1).to_pylist()[0]
        return {
            "ordinal": row["ordinal"],
            "id": row["id"],
            "source": row["source"],
            "path": row["id"],
            "size": -1,
            "split": row["split"],
            "shard": shard,
        }

    def command(self) -> str:
        return f"sketchprep verify {quoted(self.out)}"


def _plan_table(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=plan_schema())
