"""The source `pairs`: two folders of photos and sketches, or photo and sketch side by side in one picture."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sketchprep.datasets.sources.base import Fingerprint, Scan, Source
from sketchprep.datasets.sources.pair_folders import PairFolders, find_pair_folders, with_splits
from sketchprep.datasets.sources.pair_pictures import are_swapped, cut_halves, fit_sketch
from sketchprep.errors import SampleError, UserError
from sketchprep.records import DecodedPhoto, Sample

if TYPE_CHECKING:
    from sketchprep.datasets.sources.tree import Entry, Listing

__all__ = ["PairSource"]


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
    photo : {"left", "right"}, optional
        Which half of a side-by-side picture is the photo; by default they are told apart by colours and greys.
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
        photo: str | None = None,
        follow_links: bool = False,
    ) -> None:
        super().__init__(root, follow_links)
        if layout not in ("folders", "side-by-side"):
            raise UserError(f"option layout of source pairs: {layout!r} is neither 'folders' nor 'side-by-side'")
        if photo not in (None, "left", "right"):
            raise UserError(f"option photo of source pairs: {photo!r} is neither 'left' nor 'right'")
        if (photos is None) != (sketches is None):
            raise UserError("source pairs: give both options, photos and sketches, or neither")
        if layout == "side-by-side" and photos is not None:
            raise UserError("source pairs: with layout side-by-side, leave the options photos and sketches away")
        self.layout, self.photo, self.named = layout, photo, photos is not None
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
        where = "where colours and greys show it" if self.photo is None else f"on the {self.photo}"
        scan.notes["layout"] = f"side by side, the photo {where}"
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
        matches = _matches(photos, sketches)
        for stem, photo in photos.items():
            if stem in matches:
                where = {"sketch_path": sketches[matches[stem]].path, "split": pair.split}
                scan.samples.append(Sample(photo.path[cut:], self.name, photo.path, photo.size, **where))  # type: ignore[arg-type]
            else:
                message = f"no file of this name lies in {pair.sketches}"
                scan.refused.append(self._refuse(photo.path, "no-sketch", message, rejected=True))
        for stem in sketches.keys() - set(matches.values()):
            message = f"no file of this name lies in {pair.photos}"
            scan.refused.append(self._refuse(sketches[stem].path, "no-photo", message, rejected=True))

    def load(self, sample: Sample) -> tuple[str, DecodedPhoto]:
        """Open a pair: the sha256 of its bytes, the photo, and the drawing at the photo's size.

        Raises
        ------
        SampleError
            If a file cannot be read or decoded, the two differ in shape by more than 1 %, the drawing has no ink, or
            photo and drawing cannot be told apart or lie elsewhere than the options say.
        """
        from sketchprep.io import images

        data, drawing = self._read_both(sample)
        if drawing is None:
            photo, sketch, right = cut_halves(images.decode(data), self.photo)
            page = fit_sketch(sketch, photo)
            notes = (*page.notes, "photo found in the right half") if right and self.photo is None else page.notes
            return _digest(data, None), DecodedPhoto(photo, page.page, notes=notes)
        digest = _digest(data, drawing)
        photo, sketch = images.decode(data), images.decode_drawing(drawing)
        swapped = are_swapped(photo, sketch)
        if swapped and self.named:
            raise SampleError("swapped", "the sketch is a photo and the photo a drawing; swap the two options")
        if swapped:
            data, photo, sketch = drawing, images.decode(drawing), images.decode_drawing(data)
        page = fit_sketch(sketch, photo)
        notes = (*page.notes, "photo and drawing swapped") if swapped else page.notes
        return digest, DecodedPhoto(photo, page.page, data if images.stores_as_is(data) else None, notes=notes)

    def fingerprint(self, sample: Sample, *, perceptual: bool = False) -> Fingerprint:
        """See `Source.fingerprint`; the sha256 is that of the file, or of the two files' sha256 one after the other."""
        from sketchprep.io.perceptual import photo_hash

        photo, sketch = self._read_both(sample)
        return Fingerprint(_digest(photo, sketch), photo_hash(photo) if perceptual else None)

    def _read_both(self, sample: Sample) -> tuple[bytes, bytes | None]:
        if sample.sketch_path is None or sample.sketch_path == sample.path:
            return self.read(sample.path), None
        return self.read(sample.path), self.read(sample.sketch_path)


def _digest(photo: bytes, sketch: bytes | None) -> str:
    if sketch is None:
        return hashlib.sha256(photo).hexdigest()
    return hashlib.sha256(hashlib.sha256(photo).digest() + hashlib.sha256(sketch).digest()).hexdigest()


def _matches(photos: Collection[str], sketches: Collection[str]) -> dict[str, str]:
    """Names of photos to those of their sketches: equal, or else equal in NFC and without case if that is unambiguous.

    Archives made on a Mac bring names in NFD, and cameras and scanners differ in case.
    """
    found = {name: name for name in photos if name in sketches}
    alike: defaultdict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for at, names in enumerate((photos, sketches)):
        for name in names:
            if name not in found:
                alike[unicodedata.normalize("NFC", name).casefold()][at].append(name)
    return found | {left[0]: right[0] for left, right in alike.values() if len(left) == len(right) == 1}
