"""Inference behind the server: canvases in, shadows and faces out.  Plain methods, run in the server's threads."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.errors import SampleError, UserError
from sketchprep.io import images
from sketchprep.models.deepfacedrawing.drawing.manifold import ALL
from sketchprep.models.deepfacedrawing.drawing.synthesizer import WB, Synthesizer, blank_parts
from sketchprep.ops.face_parts import PARTS, windows
from sketchprep.ops.ink import INK
from sketchprep.ops.resize import resize
from sketchprep.serve.limits import CANVAS, MOST_PIXELS
from sketchprep.serve.part_cache import PartCache
from sketchprep.serve.placement import beside, for_model, in_place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from sketchprep.models.deepfacedrawing.drawing.sketch_input import AlignedSketch, SketchReader
    from sketchprep.sketching.sketcher import Sketcher

__all__ = ["CanvasAnalysis", "DrawingService"]

MIN_FACES = 5  # of a split of the bank that is offered
TITLES = {"Male=0": "Women", "Male=1": "Men"}


@dataclass(frozen=True)
class CanvasAnalysis:
    """Result of projecting a canvas onto the bank.

    Attributes
    ----------
    blended : Tensor of float32, shape (1, 5, latent)
        What the face is drawn from.
    neighbours : dict of str to list of int
        Rows of the bank by part, the nearest first; empty without a bank.
    blank : list of str
        Parts that are not drawn.
    shadow : bytes
        PNG of full darkness; empty if it was not wanted or there is no bank.
    advice : str
        Why the drawing may not sit where the model looks for a face; empty if nothing speaks against it.
    """

    blended: Tensor
    neighbours: dict[str, list[int]]
    blank: list[str]
    shadow: bytes
    advice: str = ""


class DrawingService:
    """One model and its bank, shared by all clients.

    Parameters
    ----------
    synthesizer : Synthesizer
    device : str
        For the networks that turn photos into sketches.
    offline : bool
        Never fetch missing weights.
    folder : Path, optional
        Where the sketches of the bank's parts are kept, see `PartCache`.
    """

    def __init__(
        self, synthesizer: Synthesizer, *, device: str = "auto", offline: bool = False, folder: Path | None = None
    ) -> None:
        self.synthesizer = synthesizer
        self.cache = PartCache(synthesizer, folder=folder) if synthesizer.bank is not None else None
        self.device, self.offline = device, offline
        self.banks = {name: count for name, _, count in self._splits()}
        self._synthesizers: dict[str, Synthesizer] = {"": synthesizer}
        self._readers: dict[tuple[int, bool], SketchReader] = {}
        self._lock = threading.Lock()

    def about(self) -> dict[str, Any]:
        """Description of the model for the page and for scripts."""
        bank = self.synthesizer.bank
        frames = {part: list(window) for part, window in windows(CANVAS).items()}
        return {
            "size": self.synthesizer.size,
            "canvas": CANVAS,
            "parts": list(PARTS),
            "windows": frames,
            "wb": {part: WB.get(part, WB[ALL]) for part in PARTS},
            "banks": [{"name": name, "title": title, "faces": count} for name, title, count in self._splits()],
            "faces": 0 if bank is None else len(bank),
            "prepared": 1.0 if self.cache is None else round(self.cache.ready, 3),
            "digest": "" if bank is None else bank.encoders[:16],
            "licences": self.synthesizer.model.facts.get("licences", []),
        }

    def analyse(self, canvas: bytes, *, wb: list[float], bank: str = "", shadow: bool = True) -> CanvasAnalysis:
        """Encode a canvas, find its nearest neighbours, and draw its shadow.

        Parameters
        ----------
        canvas : bytes
            PNG of 512 × 512 px, black on white.
        wb : list of float
            See `Synthesizer.synthesize`; all 1 if there is no bank.
        bank : str
            Name of a split, as `about` lists them.
        shadow : bool
            Draw the shadow too.

        Raises
        ------
        SampleError
            If the canvas is no such picture.
        UserError
            For an unknown bank.
        """
        synthesizer = self.synthesizer_for(bank)
        sketch = self.sketch(canvas)
        codes, projection, blended = synthesizer.project_sketches(
            sketch[None], wb=wb if synthesizer.bank is not None else 1.0
        )
        blank = blank_parts(sketch)
        undrawn = [part for part, empty in zip(PARTS, blank, strict=True) if empty]
        advice = "" if blank.all() else beside(self.synthesizer, sketch, codes, projection)
        if projection is None or self.cache is None:
            return CanvasAnalysis(codes, {}, undrawn, b"", advice)
        rows = {part: projection.indices[0, at].tolist() for at, part in enumerate(PARTS)}
        shadow_png = images.encode_png(self.cache.shadow(projection)) if shadow else b""
        return CanvasAnalysis(blended, rows, undrawn, shadow_png, advice)

    def face(self, codes: Tensor) -> bytes:
        """PNG of the face of codes (1, 5, latent)."""
        return images.encode_png(self.synthesizer.faces(codes)[0])

    def morph(self, canvases: list[bytes], *, wb: list[float], banks: list[str], share: float) -> bytes:
        """PNG of the face between those of two canvases; `wb` has five shares for each."""
        import torch

        ends = [
            self.analyse(canvas, wb=wb[5 * at : 5 * at + 5], bank=banks[at], shadow=False).blended
            for at, canvas in enumerate(canvases)
        ]
        return self.face(torch.lerp(ends[0], ends[1], share))

    def sketch(self, canvas: bytes) -> np.ndarray:
        """A canvas in the model's frame: uint8, shape (size, size)."""
        return for_model(self._page(canvas), self.synthesizer.size)

    def place(self, canvas: bytes) -> bytes:
        """PNG of a canvas whose drawing has been moved to where the model looks for a face."""
        page = self._page(canvas)
        if not (page < INK).any():
            raise SampleError("blank", "there is nothing on the page that could be moved")
        return images.encode_png(in_place(self.synthesizer, page))

    def _page(self, canvas: bytes) -> np.ndarray:
        header = images.probe(canvas)
        if header.format != "PNG" or (header.width, header.height) != (CANVAS, CANVAS):
            raise SampleError("canvas", f"the canvas must be a PNG of {CANVAS}×{CANVAS} px")
        return images.decode_gray(canvas, max_pixels=CANVAS * CANVAS)

    def part(self, part: str, row: int) -> bytes:
        """PNG of a face's part as the bank knows it, as large as its window on the canvas."""
        if self.cache is None or part not in PARTS or not 0 <= row < len(self.cache.synthesizer.bank.ids):  # type: ignore[union-attr]
            raise UserError(f"part '{part[:40]}' of face {row}: the bank has none; reload the page")
        side = windows(CANVAS)[part].width
        return images.encode_png(resize(self.cache.sketches(part, [row])[row], (side, side)))

    def read(
        self, data: bytes, *, size: int, kind: str = "auto", align: str | None = None, clean: bool = False
    ) -> AlignedSketch:
        """Read a sketch or photo into a frame; see `sketchprep.models.deepfacedrawing.drawing.sketch_input`."""
        image = images.decode_drawing(data, max_pixels=MOST_PIXELS)
        with self._lock:  # its networks are loaded once, and it is told what to do by its attributes
            reader = self._reader(size, clean)
            reader.kind, reader.align = kind, align
            return reader.read(image)

    def synthesize(self, data: bytes, *, wb: Mapping[str, float], bank: str, **options: Any) -> bytes:
        """PNG of the face of a sketch or photo; `options` as for `read`."""
        aligned = self.read(data, size=self.synthesizer.size, **options)
        synthesizer = self.synthesizer_for(bank)
        return images.encode_png(
            synthesizer.synthesize(aligned.sketch[None], wb=wb if synthesizer.bank is not None else 1.0).faces[0]
        )

    def synthesizer_for(self, bank: str) -> Synthesizer:
        """The synthesizer with a split of the bank."""
        if bank not in self.banks and bank:
            raise UserError(f"bank '{bank[:80]}': there is no such choice; take one that /api/model lists")
        if bank not in self._synthesizers:
            other = copy.copy(self.synthesizer)
            assert self.synthesizer.bank is not None
            other.bank = self.synthesizer.bank.split(bank)
            self._synthesizers[bank] = other
        return self._synthesizers[bank]

    def prepare(self) -> bool:
        """Decode a few of the bank's parts beforehand; whether there is more to do."""
        return self.cache is not None and self.cache.prepare()

    def warm(self) -> None:
        """Run every network once, so that the first stroke does not wait for lazy initialisation."""
        blank = images.encode_png(np.full((CANVAS, CANVAS), 255, np.uint8))
        self.face(self.analyse(blank, wb=[0.0] * len(PARTS)).blended)

    def _reader(self, size: int, clean: bool) -> SketchReader:
        from sketchprep.models.deepfacedrawing.drawing.sketch_input import SketchReader

        if (size, clean) not in self._readers:
            self._readers[size, clean] = SketchReader(size, clean=clean, sketcher=self._sketcher)
        return self._readers[size, clean]

    @cached_property
    def _sketcher(self) -> Sketcher:
        from sketchprep.sketching.sketcher import face_recipe, face_sketcher

        bank = self.synthesizer.bank
        recipe = face_recipe(bank.facts if bank is not None else {})
        return face_sketcher(recipe, device=self.device, offline=self.offline)

    def _splits(self) -> list[tuple[str, str, int]]:
        bank = self.synthesizer.bank
        if bank is None:
            return []
        splits = [("", "All faces", len(bank))]
        members = np.ones(len(bank.ids), bool) if bank.members is None else bank.members.numpy()
        for name, values in sorted(bank.attributes.items(), key=lambda pair: pair[0] != "Male"):
            for value in (0, 1) if name == "Male" else (1,):
                count = int(((values == (1 if value else -1)) & members).sum())
                if MIN_FACES <= count < len(bank):
                    key = f"{name}={value}"
                    splits.append((key, TITLES.get(key, name.replace("_", " ")), count))
        return splits
