"""What is evaluated: ways from sketches to faces, and the held-out pairs they are tried on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sketchprep.draw import Artist, open_artist
from sketchprep.errors import UserError
from sketchprep.manifold import NEIGHBOURS
from sketchprep.train.faces import ALL, Faces

__all__ = ["WBS", "Drawer", "Held", "Item", "Subject", "open_subject", "parse_wbs"]

WBS = (0.0, 0.5, 1.0)
Drawer = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Item:
    """A pair: its name, sketch (S, S) and photo (S, S, 3), both uint8, and landmarks (68, 2) in pixels or None."""

    name: str
    sketch: np.ndarray
    photo: np.ndarray
    landmarks: np.ndarray | None


class Held(Faces):
    """Pairs of a split as they are, one by one; see `Faces`."""

    def __getitem__(self, number: int) -> Item:
        pictures, landmarks = self._decoded(number)
        photo = np.ascontiguousarray(pictures["photo"].transpose(1, 2, 0))
        return Item(self._pairs.table["id"][number].as_py(), pictures["sketch"][0], photo, landmarks)


@dataclass
class Subject:
    """A model under evaluation.

    Attributes
    ----------
    artist : Artist
    drawers : dict of str to callable
        By title; each makes faces (B, S, S, 3), uint8, of sketches (B, S, S), uint8.
    faces : Held
    about : dict
        Sums of model and bank, the dataset, and what decides the figures, as JSON values.
    notes : list of str
        What a reader must know.
    """

    artist: Artist
    drawers: dict[str, Drawer]
    faces: Held
    about: dict[str, Any]
    notes: list[str]

    @property
    def sketch(self) -> str:
        """The stored stage that the model was trained on."""
        return self.faces.sketch


def open_subject(
    run: str | Path | None,
    data: str | Path,
    *,
    model: str | Path | None = None,
    bank: str | Path | None = None,
    split: str = "test",
    wbs: Sequence[float] = WBS,
    k: int = NEIGHBOURS,
    limit: int | None = None,
    device: str = "auto",
) -> Subject:
    """Open a model, its bank and the pairs to try them on.

    Parameters
    ----------
    run, model, bank, device
        See `sketchprep.draw.open_artist`.
    data : path
        A built dataset.
    split : str
    wbs : sequence of float
        How far the faces follow the drawing, each 0 to 1; one drawer for each.
    k : int
        Neighbours in the bank.
    limit : int, optional
        At most that many faces.

    Raises
    ------
    UserError
        If something is missing or does not fit: a split, the pictures' size, a bank where one is needed, wb or k.
    """
    artist = open_artist(run, model=model, bank=bank, device=device)
    trained = artist.model.facts.get("task", {}).get("data", {})
    faces = Held(data, size=artist.size, split=split, sketch=trained.get("sketch", "sketch"), limit=limit)
    blank = np.full((1, artist.size, artist.size), 255, np.uint8)
    for wb in wbs:  # what is wrong with wb, k or the bank is better said now
        artist.steer(blank, wb=wb, k=k)
    file = Path(run or model or "")
    file = file / "deepfacedrawing.safetensors" if file.is_dir() else file
    about = {
        "model": hashlib.sha256(file.read_bytes()).hexdigest(),
        "bank": None if artist.bank is None else {"encoders": artist.bank.encoders, "faces": len(artist.bank)},
        "images": artist.model.facts.get("images"),
        "data": faces.describe(),
        "wb": list(wbs),
        "k": k,
    }
    drawers = {f"wb = {wb:g}": _drawer(artist, wb, k) for wb in wbs}
    return Subject(artist, drawers, faces, about, _notes(artist, faces, trained))


def _drawer(artist: Artist, wb: float, k: int) -> Drawer:
    return lambda sketches: artist.draw(sketches, wb=wb, k=k).faces


def _notes(artist: Artist, faces: Held, trained: dict[str, Any]) -> list[str]:
    notes = []
    known = set() if artist.bank is None else set(artist.bank.ids) & set(faces.ids)
    if known:
        notes.append(f"{len(known)} of the faces are in the bank: what is drawn towards it is judged too well.")
    if faces.split in (trained.get("split"), ALL):
        notes.append(f"The model was trained on faces of the split `{faces.split}`: the figures flatter it.")
    return notes


def parse_wbs(text: str) -> tuple[float, ...]:
    """Read ``--wb``: numbers from 0 to 1 with commas.

    Raises
    ------
    UserError
        If something else stands there, or a number twice.
    """
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(0 <= value <= 1 for value in values) or len(set(values)) != len(values):
        raise UserError(f"--wb {text}: must be different numbers from 0 to 1 with commas, for instance 0,0.5,1")
    return values
