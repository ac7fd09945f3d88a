"""Drawing faces: the drawing decides as much as wb says, the bank the rest; banks and models that fit together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.drawing.bank import load_bank
from sketchprep.models.deepfacedrawing.drawing.build_bank import make_model_bank
from sketchprep.models.deepfacedrawing.drawing.synthesizer import (
    WB,
    Synthesizer,
    blank_parts,
    encoders_digest,
    open_synthesizer,
    parse_wb,
)
from sketchprep.models.deepfacedrawing.networks.model import load_face_model
from sketchprep.ops.face_parts import PARTS, windows


def darkness(picture: np.ndarray, part: str) -> float:
    return float(255 - picture[windows(len(picture))[part].slices].mean())


def test_a_batch_is_drawn_like_single_sketches(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    drawn = synthesizer.synthesize(sketches)
    assert drawn.faces.shape == (4, 64, 64, 3)
    assert drawn.faces.dtype == np.uint8
    for at in range(4):
        single = synthesizer.synthesize(sketches[at : at + 1])
        assert torch.allclose(single.blended[0], drawn.blended[at], atol=1e-3)
        assert np.abs(single.faces[0].astype(int) - drawn.faces[at]).max() <= 2
    assert np.abs(drawn.faces[0].astype(int) - drawn.faces[1]).max() > 2  # not one face for all


def test_wb_leads_from_the_bank_to_the_drawing(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    codes = synthesizer.encode(sketches)
    projected = synthesizer.project(codes, k=5).projected
    for wb in (0, 0.25, 1):
        blended = synthesizer.synthesize(sketches, wb=wb, k=5).blended
        assert torch.allclose(blended, wb * codes + (1 - wb) * projected, atol=1e-4)
    mouth = synthesizer.synthesize(sketches, wb={"all": 0, "mouth": 1}, k=5).blended
    at = PARTS.index("mouth")
    assert torch.equal(mouth[:, at], codes[:, at])
    others = [i for i in range(5) if i != at]
    assert torch.allclose(mouth[:, others], projected[:, others], atol=1e-4)


def test_what_is_not_drawn_comes_from_the_bank(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    window = windows(64)["mouth"]
    unfinished = sketches.copy()
    unfinished[(slice(None), *window.slices)] = 255
    assert all(blank_parts(sketch)[PARTS.index("mouth")] for sketch in unfinished)
    assert not any(blank_parts(sketch)[PARTS.index("mouth")] for sketch in sketches)
    usual = np.mean([darkness(sketch, "mouth") for sketch in sketches])
    # Even where the drawing is to be followed closely: there is nothing to follow.
    for picture in synthesizer.redraw(synthesizer.synthesize(unfinished, wb=0.9).blended):
        assert darkness(picture, "mouth") > 0.4 * usual


def test_a_face_of_the_bank_is_its_own_projection(synthesizer: Synthesizer, run: Path) -> None:
    bank = load_bank(run / "bank.safetensors")
    codes = bank.codes[:3]
    assert torch.allclose(synthesizer.project(codes, k=1).projected, codes)
    assert synthesizer.project(codes, k=1).indices[:, 0, 0].tolist() == [0, 1, 2]


def test_more_neighbours_than_faces_are_all_of_them(synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    assert synthesizer.project(synthesizer.encode(sketches), k=500).indices.shape == (4, 5, 48)


def test_the_drawing_alone_needs_no_bank(run: Path, synthesizer: Synthesizer, sketches: np.ndarray) -> None:
    alone = Synthesizer(synthesizer.model)
    drawn = alone.synthesize(sketches, wb=1)
    assert drawn.projection is None
    assert np.array_equal(drawn.faces, synthesizer.synthesize(sketches, wb=1).faces)
    with pytest.raises(UserError, match=r"sketchprep bank.*`wb` 1"):
        alone.synthesize(sketches)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"wb": 1.2}, "between 0"), ({"wb": -0.1}, "between 0"), ({"wb": float("nan")}, "between 0"),
        ({"wb": {"all": 0, "chin": 1}}, "'chin' is unknown"), ({"k": 0}, "at least 1"), ({"k": -3}, "at least 1"),
    ],
)  # fmt: skip
def test_wrong_words_are_sentences(synthesizer: Synthesizer, sketches: np.ndarray, words: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        synthesizer.synthesize(sketches, **words)


def test_pictures_of_another_size_are_refused(synthesizer: Synthesizer) -> None:
    with pytest.raises(ValueError, match="64"):
        synthesizer.synthesize(np.full((1, 128, 128), 255, np.uint8))


def test_wb_is_read_as_it_is_written() -> None:
    assert parse_wb(()) == WB
    assert parse_wb(("0.5",)) == {"all": 0.5}
    assert parse_wb(("mouth=0.8,left-eye=1",)) == {**WB, "mouth": 0.8, "left_eye": 1}
    assert parse_wb(("remainder=0.1",)) == {"all": WB["all"], "remainder": 0.1}
    assert parse_wb(("0", "nose=.25")) == {"all": 0, "nose": 0.25}
    for text in ("much", "mouth=", "=", "", "mouth=0.8,"):
        with pytest.raises(UserError, match="must be a number"):
            parse_wb((text,))


def test_a_bank_of_other_encoders_is_refused(run: Path, synthesizer: Synthesizer, tmp_path: Path) -> None:
    other = load_face_model(run / "deepfacedrawing.safetensors")
    with torch.no_grad():
        next(other.encoders.parameters()).add_(0.01)
    assert encoders_digest(other) != encoders_digest(synthesizer.model)
    with pytest.raises(UserError, match="other encoders"):
        Synthesizer(other, synthesizer.bank)
    from sketchprep.models.deepfacedrawing.networks.model import save_face_model

    networks = {"encoders": other.encoders, "image_decoders": other.image_decoders, "generator": other.generator}
    state = {f"{name}.{k}": v for name, net in networks.items() for k, v in net.state_dict().items()}
    save_face_model(state, other.architecture, tmp_path / "deepfacedrawing.safetensors")
    with pytest.raises(UserError, match="other encoders"):
        open_synthesizer(tmp_path, bank=run / "bank.safetensors", device="cpu")


def test_files_that_are_not_there_are_sentences(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not there; train one"):
        open_synthesizer(tmp_path / "nothing")
    with pytest.raises(UserError, match="no such bank"):
        open_synthesizer(run, bank=tmp_path / "nothing", device="cpu")
    with pytest.raises(UserError, match="name either"):
        open_synthesizer(run, model=run, device="cpu")
    with pytest.raises(UserError, match=r"holds no model|cannot be read"):
        open_synthesizer(model=run / "bank.safetensors", device="cpu")
    cut = tmp_path / "bank.safetensors"
    cut.write_bytes((run / "bank.safetensors").read_bytes()[:2000])
    with pytest.raises(UserError, match="damaged"):
        open_synthesizer(run, bank=cut, device="cpu")
    with pytest.raises(UserError, match="no such attribute"):
        open_synthesizer(run, split="Male=1", device="cpu")


def test_a_bank_holds_what_is_usual(run: Path, tmp_path: Path) -> None:
    bank = load_bank(run / "bank.safetensors")
    assert bank.ids == [f"face-{number}" for number in range(48)]
    assert bank.facts["recipe"]["sketch"] == "simplify"
    for part in PARTS:
        median, high = bank.facts["usual"][part]
        assert 0 < median <= high
    few, path = make_model_bank(run, run / "data", tmp_path / "few.safetensors", limit=5, device="cpu")
    assert (len(few), path) == (5, tmp_path / "few.safetensors")
    assert load_bank(path).facts == few.facts
    # Where nothing is held out, a face is not its own neighbour.
    whole, _ = make_model_bank(run, run / "data", tmp_path / "all.safetensors", split="all", device="cpu")
    assert len(whole) == 60
    assert min(whole.facts["usual"][part][0] for part in PARTS) > 0
