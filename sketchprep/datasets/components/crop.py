"""Cut face parts into arrays for training, with a table of their windows."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.core.workdir import Output, Report, claim_output
from sketchprep.datasets.schema import failure_schema
from sketchprep.errors import SampleError, UserError
from sketchprep.io.files import commit
from sketchprep.io.table_writers import ParquetStream

if TYPE_CHECKING:
    import numpy as np

    from sketchprep.datasets.components.inputs import CropInput, DatasetInput, FolderInput
    from sketchprep.datasets.components.layouts import Layout, Subject
    from sketchprep.ops.face_parts import Window

__all__ = ["crop_components"]

MARKER = "meta.json"
KINDS = ("sketch", "photo")
ALIGNMENTS = ("face", "none")


def crop_components(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    layout: str = "deepfacedrawing",
    centre: str | None = None,
    align: str | None = None,
    size: int | None = None,
    kinds: Sequence[str] | None = None,
    images: bool = False,
    split: str | None = None,
    progress: Callable[[int, str], Any] | None = None,
) -> Report:
    """Cut pictures into the parts that a system trains on.

    ``OUT/PART.KIND.npy`` are uint8 arrays, one row a picture, of shape (N, height, width) for sketches and label maps
    and (N, height, width, 3) for photos; open them with ``np.load(..., mmap_mode="r")``.  ``windows.parquet`` says for
    every row of every part which picture it shows and where the window lay; ``failures.parquet`` names the pictures
    that could not be used, which leave no rows; ``meta.json`` holds the settings; ``preview.jpg`` shows the first ones.

    Parameters
    ----------
    data : path
        A built dataset, or any folder of photos or sketches.
    out : path
        A new folder, or one begun by the same call.
    layout : {"deepfacedrawing", "apdrawing", "mask-guided"}
        See `sketchprep.datasets.components.layouts`.
    centre : {"fixed", "landmarks", "mask"}, optional
        How the windows are centred; by default the layout's own way.
    align : {"face", "none"}, optional
        For a folder: align photos to the layout's frame by their largest face, the default, or cut square ones as they
        are, as sketches always.
    size : int, optional
        Height and width of the frame, a multiple of 64; default the dataset's, 512 for a folder.
    kinds : sequence of {"sketch", "photo"}, optional
        For a dataset what to cut, by default both; for a folder what it holds, by default seen from its colours.
    images : bool
        Write PNGs too: ``images/PART/KEY.KIND.png``.
    split : str, optional
        Only this split of a dataset.
    progress : callable, optional
        Given the number of pictures and a word, returns a bar with ``update`` and ``close``.

    Returns
    -------
    Report

    Raises
    ------
    UserError
        For a wrong argument, a folder that holds something else, or a full disk.
    """
    chosen, centring = _layout(layout, centre)
    source = _open(Path(data), Path(out), chosen, centring, align, size, kinds, split)
    settings = {
        "layout": layout,
        "centre": centring,
        "align": source.align,
        "size": source.size,
        "kinds": list(source.kinds),
        "images": images,
        "split": split,
        "data": source.identity,
    }
    with claim_output(Path(out), MARKER, settings) as held:
        if held.done is not None:
            return Report(held.folder, 0, held.done["pictures"], held.done["failed"], notes=("finished before",))
        display = progress(len(source), "cutting") if progress else None
        written, failed = _Run(held, source, chosen, centring, images).run(display)
    return Report(Path(out), written, 0, failed, notes=_notes(source, chosen))


def _layout(name: str, centre: str | None) -> tuple[Layout, str]:
    from sketchprep.datasets.components.layouts import LAYOUTS

    if name not in LAYOUTS:
        raise UserError(f"--layout {name}: unknown; known: {', '.join(LAYOUTS)}")
    known = LAYOUTS[name].centres
    if centre is not None and centre not in known:
        raise UserError(f"--centre {centre}: the layout {name} takes {' or '.join(known)}")
    return LAYOUTS[name], centre or known[0]


def _open(
    data: Path,
    out: Path,
    layout: Layout,
    centre: str,
    align: str | None,
    size: int | None,
    kinds: Sequence[str] | None,
    split: str | None,
) -> DatasetInput | FolderInput:
    from sketchprep.datasets.components.inputs import DatasetInput, FolderInput, is_dataset

    for kind in kinds or ():
        if kind not in KINDS:
            raise UserError(f"--kinds {kind}: unknown; known: {', '.join(KINDS)}")
    if align not in (None, *ALIGNMENTS):
        raise UserError(f"--align {align}: unknown; known: {', '.join(ALIGNMENTS)}")
    source: DatasetInput | FolderInput
    if is_dataset(data):
        if align == "face":
            raise UserError(f"--align face: {data} is a dataset, whose frame is its recipe's; leave the option out")
        source = DatasetInput(data, split, size, kinds)
    else:
        _check_folder(data, out, split, kinds)
        only = kinds[0] if kinds else None
        source = FolderInput(data, size, only, layout.frame, align, find_landmarks=centre == "landmarks")
    if layout.needs_labels and not source.has_labels:
        raise UserError(
            f"--layout {layout.name}: needs a dataset with label maps; build one from a source with part masks and "
            "--set labels=true"
        )
    if source.size <= 0 or source.size % 64:
        raise UserError(f"--size {source.size}: must be a positive multiple of 64, so that the windows scale exactly")
    return source


def _check_folder(data: Path, out: Path, split: str | None, kinds: Sequence[str] | None) -> None:
    if not data.is_dir() and not zipfile.is_zipfile(data):
        what = "is a single file" if data.exists() else "does not exist"
        raise UserError(f"{data}: {what}; give a dataset, or a folder or zip of photos or sketches")
    if split is not None:
        raise UserError(f"--split {split}: {data} is a plain folder, which has no splits; leave the option out")
    if kinds and len(kinds) > 1:
        raise UserError(f"--kinds {','.join(kinds)}: the pictures of a plain folder are of one kind; name one")
    if out.resolve().is_relative_to(data.resolve()):
        raise UserError(f"-o {out}: lies inside the folder that is cut; choose a folder outside {data}")


def _notes(source: DatasetInput | FolderInput, layout: Layout) -> tuple[str, ...]:
    if source.frame is None or source.frame == layout.frame:
        return ()
    return (
        f"note: the sizes of {layout.name}'s windows are meant for the frame '{layout.frame}', "
        f"this dataset lies in '{source.frame}'",
    )


class _Run:
    """One pass over the pictures; everything grows in a folder of its own and is renamed at the end."""

    def __init__(
        self, held: Output, source: DatasetInput | FolderInput, layout: Layout, centre: str, images: bool
    ) -> None:
        from sketchprep.datasets.components.output import ArrayStream, Sheet

        self.held, self.source, self.layout, self.centre, self.images = held, source, layout, centre, images
        self.folder = held.folder / ".unfinished"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.arrays: dict[tuple[str, str], ArrayStream] = {}
        self.sheet = Sheet()
        self.windows = ParquetStream(self.folder / "windows.parquet", _window_schema())
        self.failures = ParquetStream(self.folder / "failures.parquet", failure_schema())

    def run(self, display: Any) -> tuple[int, int]:
        """Cut every picture; return how many were written and how many failed."""
        for f in self.source.refused:
            self._fail(f.id, f.source, f.stage, f.kind, f.message)
        written = 0
        try:
            for item in self.source:
                written += self._one(item)
                if display is not None:
                    display.update(1)
            self._close()
        except BaseException:
            for array in self.arrays.values():
                array.abandon()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        finally:
            if display is not None:
                display.close()
        self._publish(written)
        return written, self.failures.count

    def _one(self, item: CropInput) -> int:
        stage = "decode"
        try:
            subject = self.source.open(item)
            stage = "windows"
            windows = self.layout.windows(subject, self.centre)
            pieces = self.layout.cut(subject, windows)
        except SampleError as error:
            self._fail(item.id, item.source, stage, error.kind, error.message)
            return 0
        self._write(item, subject, windows, pieces)
        return 1

    def _write(
        self,
        item: CropInput,
        subject: Subject,
        windows: dict[str, Window],
        pieces: dict[tuple[str, str], np.ndarray],
    ) -> None:
        from sketchprep.datasets.components.output import write_images

        rows = {}
        for name, image in pieces.items():
            rows[name[0]] = self._array(name, image).add(image)
        for part, window in windows.items():
            where = window._asdict()
            self.windows.add(row=rows[part], ordinal=item.ordinal, id=item.id, split=item.split, part=part, **where)
        if self.images:
            write_images(self.folder / "images", item.ordinal, pieces)
        self.sheet.add(subject, windows, pieces)

    def _array(self, name: tuple[str, str], image: np.ndarray) -> Any:
        from sketchprep.datasets.components.output import ArrayStream

        if name not in self.arrays:
            if not self.arrays:
                self._check_space()
            part, kind = name
            self.arrays[name] = ArrayStream(self.folder / f"{part}.{kind}.npy", image.shape)
        return self.arrays[name]

    def _check_space(self) -> None:
        """Refuse before hours of work what cannot fit: the whole frames alone take most of the room."""
        frames = sum(3 if kind == "photo" else 1 for kind in self.source.kinds)
        need, free = len(self.source) * self.source.size**2 * frames, shutil.disk_usage(self.folder).free
        if need > free:
            raise UserError(
                f"-o {self.held.folder}: the arrays need more than {need / 1e9:.1f} GB and {free / 1e9:.1f} GB are "
                "free; choose another disk, a smaller --size, one --split, or --kinds sketch"
            )

    def _fail(self, id: str, source: str, stage: str, kind: str, message: str) -> None:
        self.failures.add(id=id, source=source, stage=stage, kind=kind, message=message, rejected=False)

    def _close(self) -> None:
        from sketchprep.io.contact_sheet import save_picture

        for array in self.arrays.values():
            array.close()
        self.windows.close()
        self.failures.close()
        sheet = self.sheet.image()
        if sheet is not None:
            save_picture(sheet, self.folder / "preview.jpg")

    def _publish(self, written: int) -> None:
        """Push the files to the disk, give them their names, and say last that everything is there."""
        for path in sorted(self.folder.iterdir()):
            target = self.held.folder / path.name
            if path.is_dir():
                shutil.rmtree(target, ignore_errors=True)
                path.replace(target)
            else:
                commit(path, target)
        self.folder.rmdir()
        arrays = {f"{part}.{kind}.npy": [a.rows, *a.shape] for (part, kind), a in self.arrays.items()}
        self.held.finish({"pictures": written, "failed": self.failures.count, "arrays": arrays})


def _window_schema() -> Any:
    import pyarrow as pa

    text, number = pa.string(), pa.int32()
    names = [("row", pa.int64()), ("ordinal", pa.int64()), ("id", text), ("split", text), ("part", text)]
    return pa.schema([*names, *((n, number) for n in ("x", "y", "width", "height"))])
