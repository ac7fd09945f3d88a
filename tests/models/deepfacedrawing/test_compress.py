"""A model made small to hand on: it draws what the whole one draws, and says no more than it must."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from drawn_faces import draw
from safetensors import safe_open
from safetensors.torch import load_file
from small_face_model import ARCHITECTURE, SIZE, fresh

from sketchprep.cli.main import main
from sketchprep.errors import UserError
from sketchprep.models.deepfacedrawing.compress import SmallModel, export_model
from sketchprep.models.deepfacedrawing.drawing.bank import load_bank, make_bank
from sketchprep.models.deepfacedrawing.drawing.synthesizer import encoders_digest, open_synthesizer
from sketchprep.models.deepfacedrawing.networks.model import load_face_model, save_face_model
from sketchprep.ops.face_parts import PARTS

FACES = 60
LICENCE = "photos `x`: terms: non-commercial research only"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose random weights are all that it knows, with a bank of drawn faces, every third a man."""
    folder = tmp_path_factory.mktemp("whole")
    data = {"pairs": FACES, "split": "train", "sketch": "simplify"}
    facts = {"licences": [LICENCE], "task": {"data": data, "gan": 1.0}, "preset": "tiny"}
    save_face_model(fresh(), ARCHITECTURE, folder / "deepfacedrawing.safetensors", facts=facts)
    model = load_face_model(folder)
    codes = model.encode(np.stack([draw(number, SIZE)[1] for number in range(FACES)]))
    kinds = {
        "Male": np.where(np.arange(FACES) % 3, -1, 1).astype(np.int8),
        "Bald": np.ones(FACES, np.int8),
    }
    bank = make_bank(codes, [f"photos of anna/{n:05d}.jpg" for n in range(FACES)], encoders_digest(model), kinds)
    bank.save(folder / "bank.safetensors")
    return folder


@pytest.fixture(scope="module")
def small(run: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    return export_model(run, tmp_path_factory.mktemp("small"), megabytes=10)


def drawings(count: int) -> np.ndarray:
    return np.stack([draw(number, SIZE)[1] for number in range(500, 500 + count)])


@pytest.mark.parametrize("wb", [0.0, 0.3, 1.0])
def test_the_small_model_draws_what_the_whole_one_draws(run: Path, small: SmallModel, wb: float) -> None:
    sketches = drawings(6)
    ours = open_synthesizer(small.out, device="cpu").synthesize(sketches, wb=wb).faces.astype(int)
    theirs = open_synthesizer(run, device="cpu").synthesize(sketches, wb=wb).faces.astype(int)
    assert theirs.std() > 5
    assert np.abs(ours - theirs).mean() < 2


def test_short_codes_save_most_bytes_and_still_draw_nearly_the_same(run: Path, tmp_path: Path) -> None:
    whole = sum(path.stat().st_size for path in run.iterdir())
    made = export_model(run, tmp_path, megabytes=0.7)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == sum(made.sizes.values()) < 0.7e6 < whole
    assert max(made.ranks.values()) < ARCHITECTURE.latent
    sketches = drawings(6)
    ours, theirs = (
        open_synthesizer(folder, device="cpu").synthesize(sketches).faces.astype(int) for folder in (tmp_path, run)
    )
    assert np.abs(ours - theirs).mean() < 2
    stored = load_file(tmp_path / "deepfacedrawing.safetensors")
    for part in PARTS:
        assert stored[f"encoders.parts.{part}.code.weight"].shape[0] == made.ranks[part]
    halves = {tensor.dtype for tensor in stored.values() if tensor.is_floating_point()}
    assert halves == {torch.float16}
    computed = load_face_model(tmp_path).encoders.state_dict().values()
    assert {tensor.dtype for tensor in computed if tensor.is_floating_point()} == {torch.float32}


def test_the_bank_tells_numbers_and_sexes_and_nothing_else(small: SmallModel) -> None:
    bank = load_bank(small.out / "bank.safetensors")
    assert bank.ids == [f"{n:05d}" for n in range(FACES)]
    assert set(bank.attributes) == {"Male"}
    assert len(bank.split("Male=1")) == FACES / 3
    with safe_open(small.out / "bank.safetensors", "pt") as file:
        assert set(file.keys()) == {*(f"codes.{part}" for part in PARTS), "ids", "attribute.Male"}
        assert file.get_tensor("codes.mouth").dtype == torch.float16
    assert "anna" not in (small.out / "bank.safetensors").read_bytes().decode("latin-1")


def test_of_more_faces_some_are_drawn_by_lot_and_stay_who_they_are(run: Path, tmp_path: Path) -> None:
    made = export_model(run, tmp_path / "a", faces=20, megabytes=10)
    bank = load_bank(tmp_path / "a/bank.safetensors")
    assert (len(bank), made.faces, made.of) == (20, 20, FACES)
    assert [value == 1 for value in bank.attributes["Male"]] == [int(name) % 3 == 0 for name in bank.ids]
    synthesizer = open_synthesizer(tmp_path / "a", device="cpu")
    own = np.stack([draw(int(name), SIZE)[1] for name in bank.ids])
    found = synthesizer.project(synthesizer.encode(own), k=1).indices
    assert (found[..., 0] == torch.arange(20)[:, None]).all()
    export_model(run, tmp_path / "b", faces=20, megabytes=10)
    assert (tmp_path / "a/bank.safetensors").read_bytes() == (tmp_path / "b/bank.safetensors").read_bytes()


def test_the_card_tells_data_licence_budget_figures_and_faults(run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.yaml").write_text(yaml.safe_dump({"licence": "Research only.", "faults": ["blots for beards"]}))
    report = tmp_path / "evaluation"
    report.mkdir()
    (report / "table.md").write_text("# Title\n\n| | L1 |\n|---|---|\n| wb = 0 | 0.2 |\n\nWords.\n")
    (report / "metrics.json").write_text(json.dumps({"model": "ab" * 32, "data": {"split": "test"}, "faces": [1, 2]}))
    words = ["--notes", tmp_path / "notes.yaml", "--evaluation", report, "--megabytes", "10"]
    result = CliRunner().invoke(main, [str(w) for w in ["export-model", run, "-o", tmp_path / "o", *words]])
    assert result.exit_code == 0, result.output
    assert "60 of 60 faces" in result.output
    card = (tmp_path / "o/deepfacedrawing.md").read_text()
    for text in ("64 px", LICENCE, "**Research only.**", "- blots for beards", "60 pairs", "| wb = 0 | 0.2 |", "1 gan"):
        assert text in card
    assert "Words." not in card


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"megabytes": 0.3}, "megabytes=0.3"), ({"faces": 3}, "faces=3"),
        ({"notes": "nothing.yaml"}, "notes='nothing.yaml'"),
        ({"evaluation": "nothing"}, "evaluation='nothing'"),
    ],
)  # fmt: skip
def test_mistakes_are_named(run: Path, tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        export_model(run, tmp_path / "o", **options)
    assert not (tmp_path / "o").exists()


def test_a_run_without_a_bank_and_the_run_itself_are_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "deepfacedrawing.safetensors").write_bytes((run / "deepfacedrawing.safetensors").read_bytes())
    with pytest.raises(UserError, match="has no bank"):
        export_model(tmp_path, tmp_path / "o")
    with pytest.raises(UserError, match="is the run itself"):
        export_model(run, run)


def test_notes_of_other_keys_are_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.yaml").write_text("author: me\n")
    with pytest.raises(UserError, match="author"):
        export_model(run, tmp_path / "o", notes=tmp_path / "notes.yaml")


def test_a_small_model_whose_tensors_do_not_fit_is_refused(small: SmallModel, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    source = small.out / "deepfacedrawing.safetensors"
    tensors = load_file(source)
    with safe_open(source, "pt") as file:
        about = file.metadata()
    name = "encoders.parts.nose.code.weight"
    for wrong in (tensors[name][:, 1:], torch.cat([tensors[name]] * 2), tensors[name][:0]):
        save_file({**tensors, name: wrong.contiguous()}, tmp_path / "m.safetensors", metadata=about)
        with pytest.raises(UserError, match=r"nose\.code\.weight has shape"):
            load_face_model(tmp_path / "m.safetensors")
