"""Compress a trained model: shorter codes by PCA, half precision, a smaller bank, a card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.errors import UserError
from sketchprep.io.files import atomic
from sketchprep.models.deepfacedrawing import FILE
from sketchprep.models.deepfacedrawing.drawing.bank import make_bank
from sketchprep.models.deepfacedrawing.drawing.manifold import NEIGHBOURS, blend
from sketchprep.models.deepfacedrawing.drawing.synthesizer import (
    BANK,
    WB,
    Synthesizer,
    encoders_digest,
    open_synthesizer,
)
from sketchprep.ops.face_parts import PARTS, windows

if TYPE_CHECKING:
    from torch import Tensor

    from sketchprep.models.deepfacedrawing.drawing.bank import ComponentBank
    from sketchprep.models.deepfacedrawing.networks.codes import Axes

__all__ = ["CARD", "SmallModel", "export_model"]

CARD = "deepfacedrawing.md"
FACES, MEGABYTES, ATTRIBUTES = 4000, 36.0, ("Male",)
FEWEST = NEIGHBOURS
# Share of the codes' variance that the image decoders look at: they draw faint shadows only.
SHADOW = 0.9
# Faces drawn by both models, and the most they may differ on average, in grey levels.
CHECKED, MOST_DIFFERENCE = 16, 2.0
# Header, ids and attributes for each face, and headers of the files, are small; this covers them.
OVERHEAD, PER_FACE = 200_000, 16


@dataclass(frozen=True)
class SmallModel:
    """What was written.

    Attributes
    ----------
    out : Path
        A folder that any command takes as a run.
    sizes : dict of str to int
        Bytes of encoders, face generator, image decoders, bank and card.
    ranks, image_ranks : dict of str to int
        By part: numbers in its code, and how many of them the image decoder looks at.
    kept : dict of str to float
        By part: share of the codes' variance that is left.
    faces, of : int
        Of the bank.
    difference : tuple of float
        Mean and largest mean difference of faces drawn by both models, in grey levels.
    """

    out: Path
    sizes: dict[str, int]
    ranks: dict[str, int]
    image_ranks: dict[str, int]
    kept: dict[str, float]
    faces: int
    of: int
    difference: tuple[float, float]

    def text(self) -> str:
        """A few lines for people."""
        sizes = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in self.sizes.items())
        codes = ", ".join(f"{part} {self.ranks[part]} ({self.kept[part]:.2%})" for part in PARTS)
        return (
            f"model: {self.out}: {sum(self.sizes.values()) / 1e6:.1f} MB: {sizes}\n"
            f"  numbers a code (variance kept): {codes}\n"
            f"  {self.faces:,} of {self.of:,} faces in the bank\n"
            f"  faces differ from the whole model's by {self.difference[0]:.2f} grey levels, "
            f"{self.difference[1]:.2f} at most, of {CHECKED}"
        )


def export_model(
    run: str | Path,
    out: str | Path,
    *,
    faces: int = FACES,
    megabytes: float = MEGABYTES,
    attributes: Sequence[str] = ATTRIBUTES,
    notes: str | Path | None = None,
    evaluation: str | Path | None = None,
    seed: int = 0,
) -> SmallModel:
    """Write a model with its bank and card, as small as wanted, into a folder that is used like a run.

    Parameters
    ----------
    run : path
        A run of `sketchprep train deepfacedrawing` with its bank.
    out : path
        Folder for ``deepfacedrawing.safetensors``, ``bank.safetensors`` and ``deepfacedrawing.md``.
    faces : int
        Most faces in the bank.  Of more, a random sample, so that rare and common faces stay in proportion.
    megabytes : float
        What model and bank may take.  Codes are cut to principal directions of the bank: those that hold most of their
        part's variance for the bytes they take, counted by the width of the part's window.
    attributes : sequence of str
        Of the bank's faces; those that the bank lacks are left out.
    notes : path, optional
        YAML with text for the card: ``licence``, ``budget``, and a list ``faults``.
    evaluation : path, optional
        Folder of a report of `sketchprep evaluate` on this model; its table goes into the card.
    seed : int
        Of the lot.

    Returns
    -------
    SmallModel

    Raises
    ------
    UserError
        If the run has no model or bank, an option is out of range, the folder cannot be written, or faces would come
        out otherwise: by more than 2 grey levels on average.
    """
    from sketchprep.models.deepfacedrawing.training.card import card, read_evaluation, read_notes

    if faces < FEWEST:
        raise UserError(f"--faces {faces}: must be at least {FEWEST}, the neighbours of a drawing")
    said, measured = read_notes(notes), read_evaluation(evaluation)
    whole, out = open_synthesizer(run, device="cpu"), Path(out)
    if whole.bank is None:
        raise UserError(f"{run}: has no bank; make it with `sketchprep bank --run {run} --data OUT`")
    if out.resolve() == Path(run).resolve():
        raise UserError(f"-o {out}: is the run itself; choose another folder")
    made = _make(whole, out, _rows(len(whole.bank.ids), faces, seed), megabytes, attributes)
    text = card(whole.model.facts, Path(run), small=asdict(made), notes=said, evaluation=measured)
    with atomic(out / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return replace(made, sizes={**made.sizes, "card": (out / CARD).stat().st_size})


def _make(whole: Synthesizer, out: Path, rows: np.ndarray, megabytes: float, attributes: Sequence[str]) -> SmallModel:
    from sketchprep.models.deepfacedrawing.networks.codes import choose_ranks, principal_axes, shorten
    from sketchprep.models.deepfacedrawing.networks.model import build, load_face_model, save_face_model

    assert whole.bank is not None
    axes = {part: principal_axes(codes) for part, codes in zip(PARTS, whole.bank.by_part, strict=True)}
    networks = build(whole.model.architecture)
    networks.load_state_dict(_state(whole))
    state = networks.state_dict()
    widths = {part: window.width for part, window in windows(whole.size).items()}
    room = int(megabytes * 1e6) - OVERHEAD - len(rows) * PER_FACE
    ranks, image_ranks = choose_ranks(state, axes, widths, faces=len(rows), room=room, shadow=SHADOW)
    if min(ranks.values()) == 0:
        raise UserError(f"--megabytes {megabytes:g}: is too little for this model; allow more, or take fewer --faces")
    small = shorten(state, axes, ranks, image_ranks)
    facts = {k: v for k, v in whole.model.facts.items() if k not in ("network", "version", "architecture")}
    architecture = replace(whole.model.architecture, latent=max(ranks.values()))
    try:
        out.mkdir(parents=True, exist_ok=True)
        with atomic(out / FILE) as temporary:
            save_face_model(small, architecture, temporary, facts={**facts, "codes": ranks, "shadows": image_ranks})
    except OSError as error:
        raise UserError(f"-o {out}: cannot be written ({error.strerror or error}); choose another folder") from None
    model = load_face_model(out)
    bank = _small_bank(whole.bank, rows, axes, ranks, encoders_digest(model), attributes)
    bank.save(out / BANK, lengths=ranks)
    difference = _difference(whole, open_synthesizer(out, device="cpu"), rows)
    if difference[0] > MOST_DIFFERENCE:
        raise UserError(
            f"--megabytes {megabytes:g}: faces would differ from the whole model's by {difference[0]:.1f} grey levels; "
            "allow more, or take fewer --faces"
        )
    sizes = {**_sizes(out / FILE), "bank": (out / BANK).stat().st_size}
    kept = {part: float(axes[part].kept[ranks[part] - 1]) for part in PARTS}
    return SmallModel(out, sizes, ranks, image_ranks, kept, len(rows), len(whole.bank.ids), difference)


def _state(synthesizer: Synthesizer) -> dict[str, Tensor]:
    model = synthesizer.model
    named = {"encoders": model.encoders, "image_decoders": model.image_decoders, "generator": model.generator}
    return {f"{name}.{key}": value for name, net in named.items() for key, value in net.state_dict().items()}


def _rows(count: int, most: int, seed: int) -> np.ndarray:
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _small_bank(
    bank: ComponentBank,
    rows: np.ndarray,
    axes: Mapping[str, Axes],
    ranks: Mapping[str, int],
    digest: str,
    names: Sequence[str],
) -> ComponentBank:
    import torch

    codes = torch.zeros(len(PARTS), len(rows), max(ranks.values()))
    for at, part in enumerate(PARTS):
        codes[at, :, : ranks[part]] = axes[part].shorten(bank.by_part[at, rows], ranks[part])
    known = {name: bank.attributes[name][rows] for name in names if name in bank.attributes}
    facts: dict[str, Any] = {key: bank.facts[key] for key in ("hash", "recipe", "usual") if key in bank.facts}
    return replace(make_bank(codes.transpose(0, 1), _ids(bank.ids, rows), digest, known), facts=facts)


def _ids(ids: Sequence[str], rows: np.ndarray) -> list[str]:
    """The corpus' numbers of the faces; their number in the bank where they have names instead, or share numbers."""
    found = [re.search(r"(\d+)\D*$", ids[row].rpartition("/")[2]) for row in rows]
    numbers = [match.group(1) for match in found if match]
    return numbers if len(set(numbers)) == len(rows) else [str(row) for row in rows]


def _difference(whole: Synthesizer, small: Synthesizer, rows: np.ndarray) -> tuple[float, float]:
    """How much faces midway between two of the bank's differ: mean and largest mean, in grey levels."""
    first = np.linspace(0, len(rows) - 1, CHECKED).astype(int)
    second = (first + len(rows) // 2) % len(rows)
    drawn = []
    for synthesizer, at in ((whole, (rows[first], rows[second])), (small, (first, second))):
        assert synthesizer.bank is not None
        codes = (synthesizer.bank.codes[at[0]] + synthesizer.bank.codes[at[1]]) / 2
        drawn.append(synthesizer.faces(blend(codes, synthesizer.project(codes).projected, WB)).astype(np.int16))
    each = np.abs(drawn[0] - drawn[1]).mean(axis=(1, 2, 3))
    return float(each.mean()), float(each.max())


def _sizes(path: Path) -> dict[str, int]:
    """Bytes of each network in a model's file."""
    from safetensors import safe_open

    titles = {"encoders": "encoders", "generator": "face generator", "image_decoders": "shadow decoders"}
    found = dict.fromkeys(titles.values(), 0)
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118
            tensor: Any = file.get_tensor(name)
            found[titles[name.split(".")[0]]] += tensor.numel() * tensor.element_size()
    found["header"] = path.stat().st_size - sum(found.values())
    return found
