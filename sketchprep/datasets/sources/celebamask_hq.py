"""The source `celebamask-hq`: 30,000 aligned photos with attributes, poses, part masks and CelebA's split."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sketchprep.datasets.sources.base import Scan, Source
from sketchprep.datasets.sources.celebamask_tables import Table, parse_attributes, parse_mapping, parse_poses
from sketchprep.errors import SampleError, UserError
from sketchprep.records import Sample

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CelebAMaskHQ"]

PHOTOS = "CelebA-HQ-img"
MASKS = ("CelebAMask-HQ-mask-anno", "CelebAMaskHQ-mask-anno")
ATTRIBUTES = "CelebAMask-HQ-attribute-anno.txt"
POSES = "CelebAMask-HQ-pose-anno.txt"
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"

_NAMES = """
    5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair
    Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
    Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
    Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
    Wearing_Necktie Young"""
ATTRIBUTE_NAMES = tuple(_NAMES.split())

_OFF = {
    ATTRIBUTES: "rules on attributes (glasses, hats)",
    POSES: "the corpus' own poses (angles are estimated from landmarks instead)",
    MAPPING: "the official split",
    MASKS[0]: "rules on mask areas, face masks and windows centred on masks",
}
_PHOTO = re.compile(r"(\d{1,9})\.(?:jpg|jpeg|png)", re.IGNORECASE)
Value = TypeVar("Value")


class CelebAMaskHQ(Source):
    """The corpus as its authors hand it out: the unpacked folder or the zip, whole or partial.

    Only the photos are needed.  Ids are the photos' numbers with five digits.  The folders of photos and masks
    may be links to wherever they lie.
    """

    name = "celebamask-hq"
    frame = "ffhq"
    licence = "CelebAMask-HQ terms: non-commercial research and education only; pictures must not be redistributed"
    homepage = "https://github.com/switchablenorms/CelebAMask-HQ"
    about = "30,000 aligned celebrity photos of 1024 px with 40 attributes, poses, 19-class masks and CelebA's split"
    obtain = (
        "get CelebAMask-HQ.zip from its authors (https://github.com/switchablenorms/CelebAMask-HQ) and give --root the "
        "zip or the folder that it unpacks to"
    )

    def __init__(self, root: Path, follow_links: bool = False) -> None:
        super().__init__(root, follow_links)
        for folder in ("", *(f"{name}/" for name in self.tree.folders())):
            for part in (PHOTOS, *MASKS):
                self.tree.follow(folder + part)
        self.prefix = self._find_prefix()
        self.mask_folder = next((m for m in MASKS if self._kind(m) == "folder"), None)

    def _find_prefix(self) -> str:
        inside = [name for name in self.tree.folders() if self.tree.kind(f"{name}/{PHOTOS}") == "folder"]
        if self.tree.kind(PHOTOS) == "folder":
            return ""
        if len(inside) == 1:
            return f"{inside[0]}/"
        if inside:
            raise UserError(f"--root {self.root} holds several corpora: give one of {', '.join(inside)} in it")
        raise UserError(f"--root {self.root} holds no folder {PHOTOS}; {self.obtain}")

    def _kind(self, name: str) -> str | None:
        kind = self.tree.kind(self.prefix + name)
        if kind == "leaves":
            raise UserError(
                f"{name} in {self.root} is a link that leaves it: add --follow-links, copy it there, or remove the link"
            )
        return kind

    def attribute_names(self) -> tuple[str, ...]:
        """Return the 40 names, which are known even if the attribute file is missing."""
        return tuple(self.scan().notes.get("attribute names", ATTRIBUTE_NAMES))

    def mask_names(self) -> tuple[str, ...]:
        """Return the 18 classes besides the background."""
        from sketchprep.ops.labels import CLASSES

        return CLASSES[1:]

    def masks(self, sample: Sample) -> dict[str, np.ndarray]:
        """Return the sample's masks, usually of 512×512 pixels; a class without a file is absent.

        Raises
        ------
        SampleError
            If a mask is there but cannot be read, or is no square of the others' size, as the photos are squares.
        """
        from sketchprep.io import images

        found = {}
        for label in self.mask_names() if self.mask_folder else ():
            path = self._mask_path(int(sample.id), label)
            if self.tree.kind(path) is None:
                continue
            try:
                found[label] = images.decode_gray(self.read(path)) > 127
            except SampleError as error:
                raise SampleError(error.kind, f"mask {label}: {error.message}") from None
            height, width = found[label].shape
            expected = len(next(iter(found.values())))
            if (height, width) != (expected, expected):
                raise SampleError("mask-size", f"mask {label} has {width}×{height} px, not {expected}×{expected}")
        return found

    def _mask_path(self, number: int, label: str) -> str:
        return f"{self.prefix}{self.mask_folder}/{number // 2000}/{number:05d}_{label}.png"

    def _scan(self) -> Scan:
        listing = self.tree.files(self.prefix + PHOTOS)
        scan = self._start(listing)
        photos: dict[int, tuple[str, int]] = {}
        # The plain name 12.jpg wins over 00012.jpg or 12.png, whichever is listed first.
        for entry in sorted(listing.files, key=lambda e: (len(e.path), not e.path.endswith(".jpg"), e.path)):
            match = _PHOTO.fullmatch(entry.path.removeprefix(f"{self.prefix}{PHOTOS}/"))
            if match is None:
                message = "photos of this corpus are named by number, such as 12.jpg"
                scan.refused.append(self._refuse(entry.path, "bad-name", message, rejected=True))
            elif int(match[1]) in photos:
                message = f"has the same number as {photos[int(match[1])][0]!r}, which is used"
                scan.refused.append(self._refuse(entry.path, "ambiguous", message, rejected=True))
            else:
                photos[int(match[1])] = entry.path, entry.size
        self._annotate(photos, scan)
        return scan

    def _annotate(self, photos: dict[int, tuple[str, int]], scan: Scan) -> None:
        names: tuple[str, ...] = ATTRIBUTE_NAMES

        def attributes(data: bytes, file: str, wanted: Collection[int]) -> Table[tuple[str, ...]]:
            nonlocal names
            names, table = parse_attributes(data, file, wanted)
            return table

        scan.notes |= {"annotations": {}, "missing": []}
        true = self._table(ATTRIBUTES, "attribute", attributes, photos, scan)
        poses = self._table(POSES, "pose", parse_poses, photos, scan)
        splits = self._table(MAPPING, "mapping", parse_mapping, photos, scan)
        if self.mask_folder is None:
            scan.notes["missing"].append({"file": MASKS[0], "off": _OFF[MASKS[0]]})
        scan.notes["attribute names"] = list(names)
        for number, (path, size) in photos.items():
            annotation = {"attributes": true.get(number), "pose": poses.get(number), "split": splits.get(number)}
            scan.samples.append(Sample(f"{number:05d}", self.name, path, size, **annotation))  # type: ignore[arg-type]

    def _table(
        self,
        file: str,
        noun: str,
        parse: Callable[[bytes, str, Collection[int]], Table[Value]],
        photos: Collection[int],
        scan: Scan,
    ) -> dict[int, Value]:
        if self._kind(file) is None:
            scan.notes["missing"].append({"file": file, "off": _OFF[file]})
            return {}
        try:
            data = self.read(self.prefix + file)
        except SampleError as error:
            raise UserError(f"{file} in {self.root} cannot be used: {error.message}") from None
        table = parse(data, file, photos)
        if len(table.rows) < table.total:
            scan.left_out.add(f"{noun} rows without a photo", count=table.total - len(table.rows))
        scan.notes["annotations"] |= {
            f"{noun} rows": table.total,
            f"{noun} rows without a photo": table.total - len(table.rows),
            f"photos without {'an' if noun[0] == 'a' else 'a'} {noun} row": len(photos) - len(table.rows),
        }
        return table.rows

    def details(self) -> dict[str, Any]:
        """Count the masks by class."""
        if self.mask_folder is None:
            return {}
        labels = self.mask_names()
        numbers = {sample.id for sample in self.samples()}
        names = [e.path.rpartition("/")[2] for e in self.tree.files(self.prefix + self.mask_folder).files]
        split = [name.removesuffix(".png").split("_", 1) for name in names]
        ours = [(parts[0], parts[1]) for parts in split if parts[0] in numbers and parts[-1] in labels]
        masks = {
            "files": len(names),
            "photos with masks": len({number for number, _ in ours}),
            "by class": {label: sum(1 for _, one in ours if one == label) for label in labels},
        }
        return {"masks": masks}
