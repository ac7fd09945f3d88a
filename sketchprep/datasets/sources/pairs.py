"""The source `pairs`: two folders of photos and sketches, or photo and sketch side by side in one picture."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sketchprep.datasets.sources.base import Fingerprint, Scan, Source
from sketchprep.datasets.sources.pair_folders import PairFolders, find_pair_folders, with_splits
from sketchprep.errors import SampleError, UserError
from sketchprep.records import DecodedPhoto, Sample

if TYPE_CHECKING:
    import numpy as np

    from sketchprep.datasets.sources.tree import Entry, Listing

__all__ = ["PairSource"]

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
    follow_links : bool
        In a folder, follow links that leave it.

    Notes
    -----
    Splits of the corpus are kept: testA/testB and valA/valB beside trainA/trainB, and folders named train, val and test
    above or below the others.
    """

    name = "pairs"
    keeps_splits = True
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
        follow_links: bool = False,
    ) -> None:
        super().__init__(root, follow_links)
        if layout not in ("folders", "side-by-side"):
            raise UserError(f"option layout of source pairs: {layout!r} is neither 'folders' nor 'side-by-side'")
        if photo not in ("left", "right"):
            raise UserError(f"option photo of source pairs: {photo!r} is neither 'left' nor 'right'")
        if (photos is None) != (sketches is None):
            raise UserError("source pairs: give both options, photos and sketches, or neither")
        if layout == "side-by-side" and photos is not None:
            raise UserError("source pairs: with layout side-by-side, leave the options photos and sketches away")
        self.layout, self.photo = layout, photo
        self.folders: list[PairFolders] = []
        if photos is not None and sketches is not None:
            self.folders = [self._named(photos, sketches)]
        elif layout == "folders":
            self.folders = find_pair_folders(self.tree, self.root)

    def _named(self, photos: str, sketches: str) -> PairFolders:
        for option, path in (("photos", photos), ("sketches", sketches)):
            if self.tree.kind(path) != "folder":
                raise UserError(f"option {option} of source pairs: there is no folder {path!r} in {self.root}")
        return PairFolders(photos.strip("/"), sketches.strip("/"))

    def _scan(self) -> Scan:
        scan = self._scan_folders() if self.folders else self._scan_halves()
        scan.samples = with_splits(scan.samples)
        return scan

    def _scan_halves(self) -> Scan:
        listing = self.tree.files()
        scan = self._start(listing)
        scan.samples = [Sample(e.path, self.name, e.path, e.size, sketch_path=e.path) for e in listing.files]
        scan.notes["layout"] = f"side by side, the photo on the {self.photo}"
        return scan

    def _scan_folders(self) -> Scan:
        listings = [(self.tree.files(pair.photos), self.tree.files(pair.sketches)) for pair in self.folders]
        scan = self._start(*(listing for both in listings for listing in both))
        for pair, (photos, sketches) in zip(self.folders, listings, strict=True):
            self._match(
                pair, self._by_stem(pair.photos, photos, scan), self._by_stem(pair.sketches, sketches, scan), scan
            )
        scan.notes["layout"] = "; ".join(
            f"photos in {pair.photos}, sketches in {pair.sketches}" for pair in self.folders
        )
        used = {path.partition("/")[0] for pair in self.folders for path in (pair.photos, pair.sketches)}
        for name in set(self.tree.folders()) - used:
            scan.left_out.add("folder beside the pairs", name)
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

    def _match(self, pair: PairFolders, photos: dict[str, Entry], sketches: dict[str, Entry], scan: Scan) -> None:
        # Pictures of another split may bear the same names as those of the first folder.
        cut = len(pair.photos) + 1 if pair is self.folders[0] else 0
        for stem, photo in photos.items():
            if stem in sketches:
                where = {"sketch_path": sketches[stem].path, "split": pair.split}
                scan.samples.append(Sample(photo.path[cut:], self.name, photo.path, photo.size, **where))  # type: ignore[arg-type]
            else:
                message = f"no file of this name lies in {pair.sketches}"
                scan.refused.append(self._refuse(photo.path, "no-sketch", message, rejected=True))
        for stem in sketches.keys() - photos.keys():
            message = f"no file of this name lies in {pair.photos}"
            scan.refused.append(self._refuse(sketches[stem].path, "no-photo", message, rejected=True))

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

    def fingerprint(self, sample: Sample, *, perceptual: bool = False) -> Fingerprint:
        """See `Source.fingerprint`; the sha256 is that of the file, or of the two files' sha256 one after the other."""
        from sketchprep.io.perceptual import photo_hash

        photo, sketch = self._read_both(sample)
        return Fingerprint(_digest(photo, sketch), photo_hash(photo) if perceptual else None)

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
