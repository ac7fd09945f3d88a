"""The source `pairs`: two folders of photos and sketches, or photo and sketch side by side in one picture."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sketchprep.datasets.sources.base import Scan, Source
from sketchprep.errors import SampleError, UserError
from sketchprep.records import DecodedPhoto, Sample

if TYPE_CHECKING:
    import numpy as np

    from sketchprep.datasets.sources.tree import Entry, Listing

__all__ = ["PairSource"]

_COMMON = (
    ("photos", "sketches"),
    ("photo", "sketch"),
    ("photos", "drawings"),
    ("images", "sketches"),
    ("A", "B"),
    ("trainA", "trainB"),
    ("train_A", "train_B"),
)
_ASPECT_TOLERANCE = 0.01


class PairSource(Source):
    """Photos with drawings of the same scene.

    Parameters
    ----------
    root : Path
    layout : {"folders", "side-by-side"}
        Two sub-folders whose files match by path without the extension, or pictures that hold both halves.
    photos, sketches : str, optional
        The two sub-folders.  If neither is given, common names are tried: photos/sketches, photo/sketch, A/B,
        trainA/trainB and a few more, also one level down.
    photo : {"left", "right"}
        Which half of a side-by-side picture is the photo.
    """

    name = "pairs"
    licence = "unknown: that of the pairs in the folder"
    about = "existing photo/sketch pairs: two folders of equal names, or A|B side by side"
    obtain = "give the folder (or zip) of your own pairs with --root"

    def __init__(
        self,
        root: Path,
        layout: str = "folders",
        photos: str | None = None,
        sketches: str | None = None,
        photo: str = "left",
    ) -> None:
        super().__init__(root)
        if layout not in ("folders", "side-by-side"):
            raise UserError(f"option layout of source pairs: {layout!r} is neither 'folders' nor 'side-by-side'")
        if photo not in ("left", "right"):
            raise UserError(f"option photo of source pairs: {photo!r} is neither 'left' nor 'right'")
        if (photos is None) != (sketches is None):
            raise UserError("source pairs: give both options, photos and sketches, or neither")
        if layout == "side-by-side" and photos is not None:
            raise UserError("source pairs: with layout side-by-side, leave the options photos and sketches away")
        self.layout, self.photo = layout, photo
        self.folders = self._find(photos, sketches) if layout == "folders" else None

    def _find(self, photos: str | None, sketches: str | None) -> tuple[str, str]:
        if photos is not None and sketches is not None:
            for option, path in (("photos", photos), ("sketches", sketches)):
                if self.tree.kind(path) != "folder":
                    raise UserError(f"option {option} of source pairs: there is no folder {path!r} in {self.root}")
            return photos.strip("/"), sketches.strip("/")
        top = self.tree.folders()
        for pair in _COMMON:
            for prefix in ("", *(f"{name}/" for name in top)):
                if all(self.tree.kind(prefix + name) == "folder" for name in pair):
                    return prefix + pair[0], prefix + pair[1]
        raise UserError(
            f"source pairs: {self.root} has no pair of folders such as photos and sketches (found: "
            f"{', '.join(top) or 'none'}); name them with the options photos and sketches, or set layout: side-by-side"
        )

    def _scan(self) -> Scan:
        if self.folders is None:
            listing = self.tree.files()
            scan = self._start(listing)
            scan.samples = [Sample(e.path, self.name, e.path, e.size, sketch_path=e.path) for e in listing.files]
            scan.notes["layout"] = f"side by side, the photo on the {self.photo}"
            return scan
        folders = self.folders
        listings = [self.tree.files(folder) for folder in folders]
        scan = self._start(*listings)
        photos, sketches = (self._by_stem(f, listed, scan) for f, listed in zip(folders, listings, strict=True))
        for stem in photos.keys() | sketches.keys():
            self._match(photos.get(stem), sketches.get(stem), scan)
        scan.notes["layout"] = f"photos in {folders[0]}, sketches in {folders[1]}"
        return scan

    def _by_stem(self, folder: str, listing: Listing, scan: Scan) -> dict[str, Entry]:
        """Key the files by their path in the folder without extension; of several alike, the first is used."""
        groups: dict[str, list[Entry]] = defaultdict(list)
        for entry in listing.files:
            groups[str(PurePosixPath(entry.path).relative_to(folder).with_suffix(""))].append(entry)
        for first, *others in groups.values():
            for other in others:
                message = f"differs from {first.path!r}, which is used, by its extension alone"
                scan.refused.append(self._refuse(other.path, "ambiguous", message, rejected=True))
        return {stem: entries[0] for stem, entries in groups.items()}

    def _match(self, photo: Entry | None, sketch: Entry | None, scan: Scan) -> None:
        assert self.folders is not None
        if photo is not None and sketch is not None:
            id_ = photo.path[len(self.folders[0]) + 1 :]
            scan.samples.append(Sample(id_, self.name, photo.path, photo.size, sketch_path=sketch.path))
        elif photo is not None:
            message = f"no file of this name lies in {self.folders[1]}"
            scan.refused.append(self._refuse(photo.path, "no-sketch", message, rejected=True))
        elif sketch is not None:
            message = f"no file of this name lies in {self.folders[0]}"
            scan.refused.append(self._refuse(sketch.path, "no-photo", message, rejected=True))

    def load(self, sample: Sample) -> tuple[str, DecodedPhoto]:
        """Open a pair: the sha256 of its bytes, the photo, and the drawing at the photo's size.

        Raises
        ------
        SampleError
            If a file cannot be read or decoded, or the two differ in shape by more than 1 %.
        """
        from sketchprep.io import images

        data, drawing = self._read_both(sample)
        if drawing is None:
            photo, sketch = self._halves(images.decode(data))
            return _digest(data, None), DecodedPhoto(photo, sketch)
        photo = images.decode(data)
        sketch = _fit(images.decode_gray(drawing), photo)
        return _digest(data, drawing), DecodedPhoto(photo, sketch, data if images.stores_as_is(data) else None)

    def digest(self, sample: Sample) -> str:
        """Return the sha256 over both files: that of the file, or of the two files' sha256 one after the other."""
        return _digest(*self._read_both(sample))

    def _read_both(self, sample: Sample) -> tuple[bytes, bytes | None]:
        if sample.sketch_path is None or sample.sketch_path == sample.path:
            return self.read(sample.path), None
        return self.read(sample.path), self.read(sample.sketch_path)

    def _halves(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import cv2

        width = picture.shape[1]
        if width % 2:
            raise SampleError("size-mismatch", f"{width} px wide: two pictures side by side need an even width")
        halves = [picture[:, : width // 2].copy(), picture[:, width // 2 :].copy()]
        photo, sketch = halves if self.photo == "left" else halves[::-1]
        return photo, cv2.cvtColor(sketch, cv2.COLOR_RGB2GRAY)


def _digest(photo: bytes, sketch: bytes | None) -> str:
    if sketch is None:
        return hashlib.sha256(photo).hexdigest()
    return hashlib.sha256(hashlib.sha256(photo).digest() + hashlib.sha256(sketch).digest()).hexdigest()


def _fit(sketch: np.ndarray, photo: np.ndarray) -> np.ndarray:
    from sketchprep.ops.resize import resize

    (h, w), (height, width) = sketch.shape, photo.shape[:2]
    if (h, w) == (height, width):
        return sketch
    if abs(w * height / (h * width) - 1) > _ASPECT_TOLERANCE:
        raise SampleError(
            "size-mismatch", f"the sketch is {w}×{h} and the photo {width}×{height}: shapes may differ by 1 %"
        )
    return resize(sketch, (width, height))
