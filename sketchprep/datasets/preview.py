"""Pictures of a dataset: photo beside sketches, one row a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sketchprep.datasets.pair import FARTHEST
from sketchprep.datasets.reader import PairDataset
from sketchprep.errors import SampleError, UserError
from sketchprep.io.contact_sheet import TILE, contact_sheet, save_picture

if TYPE_CHECKING:
    from sketchprep.datasets.reader import Pair

__all__ = ["draw_windows", "preview", "write"]

PART_COLOURS = {
    "left_eye": (230, 60, 60),
    "right_eye": (60, 140, 230),
    "nose": (60, 180, 75),
    "mouth": (240, 160, 30),
}
# CelebAMask-HQ's 19 classes in colours that tell neighbours apart; a label map opened as it is looks black.
_HUES = np.array([[(i * 47) % 180, 200 if i else 0, 220 if i else 0] for i in range(19)], np.uint8)
LABEL_COLOURS = cv2.cvtColor(_HUES[None], cv2.COLOR_HSV2RGB)[0]


def draw_windows(photo: np.ndarray, pair: Pair) -> np.ndarray:
    """Draw DeepFaceDrawing's part windows and the landmarks on a copy of a photo."""
    image = photo.copy()
    for window in pair.row["windows"] or []:
        if window["part"] in PART_COLOURS:
            x, y = window["x"], window["y"]
            if max(abs(x), abs(y), window["width"], window["height"]) >= FARTHEST:
                raise pair.damaged("windows")
            corner = (x + window["width"] - 1, y + window["height"] - 1)
            thickness = max(1, round(len(image) / 256))
            cv2.rectangle(image, (x, y), corner, PART_COLOURS[window["part"]], thickness, cv2.LINE_AA)
    if pair.landmarks is not None:
        for x, y in pair.landmarks:
            centre = (round(float(x) * 16), round(float(y) * 16))
            cv2.circle(image, centre, round(16 * len(image) / 320), (255, 255, 255), -1, cv2.LINE_AA, 4)
    return image


def preview(
    folder: str | Path, *, stages: Sequence[str] | None = None, people: int = 8, windows: bool | None = None
) -> np.ndarray:
    """Make a contact sheet of a dataset.

    Parameters
    ----------
    folder : path
        A built dataset.
    stages : sequence of str, optional
        Columns: ``photo``, ``sketch`` (or the name of the stage that made it) and stored stages; default all.
    people : int
        Rows, spread evenly over the dataset.
    windows : bool, optional
        Draw part windows and landmarks on the photo; by default only if no stages were named.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Raises
    ------
    UserError
        If a stage is not stored, or `people` is not positive.
    """
    if people < 1:
        raise UserError(f"-n {people}: must be at least 1")
    pairs = PairDataset(folder, spread=people)
    columns = list(stages) if stages else ["photo", *pairs.stages]
    members = [_member(name, pairs) for name in columns]
    mark = windows if windows is not None else not stages
    rows = [[_picture(pair, member, mark) for member in members] for pair in pairs]
    return contact_sheet(rows, columns)


def _member(name: str, pairs: PairDataset) -> str:
    known = ["photo", *pairs.stages, "labels"]
    if name == pairs.recipe["sketch"]:
        return "sketch"
    if name not in known:
        raise UserError(f"--stages {name}: not stored in {pairs.folder}; stored: {', '.join(known)}")
    return name


def _picture(pair: Pair, member: str, mark: bool) -> np.ndarray:
    try:
        image = pair[member]
    except KeyError:  # a label map exists for some pairs only
        return np.full((TILE, TILE), 235, np.uint8)
    except SampleError as error:
        tar = f"shards/{pair.row['shard']}.tar"
        raise UserError(f"{tar}: {member} of pair {pair.id!r}: {error}; see `sketchprep verify`") from None
    if member == "labels":
        return LABEL_COLOURS[np.minimum(image, len(LABEL_COLOURS) - 1)]
    return draw_windows(image, pair) if mark and member == "photo" else image


def write(out: Path) -> None:
    """Write a dataset's ``preview.jpg``."""
    save_picture(preview(out), out / "preview.jpg")
