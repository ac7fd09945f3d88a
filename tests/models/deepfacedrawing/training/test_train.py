"""Both stages from a dataset to a model, what resuming and mistakes come to, and what a run leaves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from drawn_faces import draw, write_faces

from sketchprep.cli.main import main
from sketchprep.errors import UserError
from sketchprep.io import plots
from sketchprep.models.deepfacedrawing.networks.model import load_face_model, save_face_model
from sketchprep.models.deepfacedrawing.training import stage1_weights, stages
from sketchprep.models.deepfacedrawing.training.export import export_face_model
from sketchprep.models.deepfacedrawing.training.train import Outcome, Settings, train_deepfacedrawing
from sketchprep.ops.face_parts import PARTS
from sketchprep.training import checkpoint, presets

SMALL = [
    "size=64", "latent=8", "width=4", "innermost=8", "narrow=2", "fm_channels=4", "fm_width=4", "ngf=4", "downs=2",
    "blocks=1", "ndf=4", "scales=1", "perceptual=0", "images=16", "batch=4", "workers=0", "threads=1",
    "precision=float32", "stats_every=4", "samples_every=1000", "save_every=8",
]  # fmt: skip


def train(data: Path, run: Path, *more: str, **options: object) -> Outcome:
    chosen = {"preset": "tiny", "device": "cpu", "quiet": True, **options}
    return train_deepfacedrawing(data, run, overrides=[*SMALL, *more], **chosen)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces") / "data")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run of both stages; tests must not change it."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert train(data, run).exit_code == 0
    return run


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "copy")


def told(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]


def test_a_run_leaves_both_stages_curves_and_a_model_that_draws(finished: Path, data: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {"ce", "fm-is", "curves.png", "log.txt", "deepfacedrawing.safetensors", "deepfacedrawing.md"}
    model = load_face_model(finished)
    sketches = np.stack([draw(number, 64)[1] for number in range(3)])
    faces = model.draw(sketches)
    assert (faces.shape, faces.dtype) == ((3, 64, 64, 3), np.uint8)
    assert not np.array_equal(faces[0], faces[1])
    assert model.redraw(model.encode(sketches)).shape == (3, 64, 64)
    assert model.facts["images"] == {"ce": dict.fromkeys(PARTS, 16), "fm-is": 16}
    assert model.facts["task"]["data"]["pairs"] == 8
    assert model.facts["licences"] == ["photos `portraits`: CC0-1.0"]
    assert cv2.imread(str(finished / "curves.png")).shape[1] == 3 * plots.WIDTH
    card = (finished / "deepfacedrawing.md").read_text()
    assert "8 pairs" in card
    assert "CC0-1.0" in card
    assert "preset `tiny`" in card


def test_the_model_is_what_the_checkpoints_hold_up_to_half_precision(finished: Path) -> None:
    model, whole = load_face_model(finished), checkpoint.read(finished / "fm-is")
    for name, value in whole.tensors("generator.ema").items():
        ours = model.generator.state_dict()[name]
        torch.testing.assert_close(ours, value, rtol=1e-3, atol=1e-6, check_dtype=False)
    scored = checkpoint.read(finished / "ce").tensors("nose.ema")
    torch.testing.assert_close(
        model.encoders.state_dict()["parts.nose.code.weight"], scored["encoder.code.weight"], rtol=1e-3, atol=1e-6
    )
    torch.testing.assert_close(
        model.image_decoders.state_dict()["nose.code.weight"], scored["decoder.code.weight"], rtol=1e-3, atol=1e-6
    )


def test_the_same_command_again_changes_nothing_and_says_so(copied: Path, data: Path) -> None:
    before = {path: path.read_bytes() for path in copied.rglob("*.safetensors")}
    outcome = train(data, copied)
    assert {path: path.read_bytes() for path in copied.rglob("*.safetensors")} == before
    assert "finished, 16 images" in outcome.text
    assert str(copied / "curves.png") in outcome.text
    assert "stage 1 is finished and used as it is" in (copied / "log.txt").read_text()


@pytest.mark.parametrize("stage", ["ce", "fm-is"])
def test_a_run_goes_on_in_either_stage_to_the_same_weights(
    finished: Path, data: Path, copied: Path, stage: str
) -> None:
    if stage == "ce":
        shutil.rmtree(copied / "fm-is")
    # As if the power had gone after the first checkpoint of this stage.
    shutil.rmtree(copied / stage / "checkpoints" / "000000016")
    assert "resumes at 8 of 16" not in (copied / stage / "log.txt").read_text()
    train(data, copied)
    assert "resumes at 8 of 16" in (copied / stage / "log.txt").read_text()
    files = [path.relative_to(finished) for path in finished.rglob("*.safetensors")]
    assert len(files) > 20
    for path in files:
        assert (copied / path).read_bytes() == (finished / path).read_bytes(), path


def test_time_is_shared_between_the_stages() -> None:
    def minutes(stage: str, *overrides: str, total: float | None = 60.0, wanted: tuple[str, ...] = ("ce", "fm-is")):  # type: ignore[no-untyped-def]
        return stages.plan(wanted, "tiny", overrides, total)[stage][0].max_minutes

    assert (minutes("ce"), minutes("fm-is")) == (30, 30)
    assert (minutes("ce", "ce.max_minutes=20"), minutes("fm-is", "ce.max_minutes=20")) == (20, 40)
    assert minutes("fm-is", wanted=("fm-is",)) == 60
    assert minutes("ce", total=None) is None
    with pytest.raises(UserError, match="max_minutes=60: leaves no time for stage fm-is"):
        minutes("fm-is", "ce.max_minutes=60")


def test_one_part_trained_alone_goes_before_that_of_all(copied: Path, data: Path) -> None:
    train(data, copied, "ink_weight=8", stage="ce", part="mouth")
    assert checkpoint.read(copied / "ce-mouth").modules() == ["mouth", "mouth.ema"]
    settings = presets.load("deepfacedrawing", "tiny", Settings, SMALL, stage="fm-is")[1]
    parts = stage1_weights.find(copied, settings)
    assert {name: part.found.path.parent.parent.name for name, part in parts.items()} == {
        **dict.fromkeys(PARTS, "ce"),
        "mouth": "ce-mouth",
    }
    with pytest.raises(UserError, match=r"started with other settings .*encoders"):
        train(data, copied, stage="fm-is")


def test_weak_codes_are_warned_of_before_stage_2(
    finished: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Sixteen pictures teach nothing.
    assert "remainder 0%" in (finished / "log.txt").read_text()
    train(data, tmp_path / "new", stage="fm-is", encoders=finished)
    warned = capsys.readouterr().err
    assert "the codes explain little" in warned
    assert str(finished / "ce" / "samples") in warned
    assert "--stage ce --part" in warned

    strong = stage1_weights.Part("nose", checkpoint.Checkpoint(finished, 1, "ce", {}, {"unexplained.nose": 0.5}, {}))
    assert stage1_weights.warning({"nose": strong}) is None


def test_a_dry_run_measures_both_stages_and_writes_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sketchprep.training import budget

    monkeypatch.setattr(budget, "SECONDS", 0.0)
    outcome = train(data, tmp_path / "run", dry_run=True)
    lines = outcome.text.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["ce", "fm-is"]
    assert all("images/s" in line and "GiB" in line for line in lines)
    assert not (tmp_path / "run").exists()


def test_train_without_a_name_trains_faces(finished: Path, data: Path, copied: Path) -> None:
    values = [argument for text in SMALL for argument in ("--set", text)]
    command = ["train", "--data", str(data), "--run", str(copied), "--preset", "tiny", "--device", "cpu", *values]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "model: " in result.output
    assert "simplifier" in CliRunner().invoke(main, ["train", "--help"]).output
    assert "No such command" in CliRunner().invoke(main, ["train", "deepfake"]).output


def test_shipped_presets_are_valid() -> None:
    for name in presets.names("deepfacedrawing"):
        for stage in ("ce", "fm-is"):
            options, settings = presets.load("deepfacedrawing", name, Settings, stage=stage)
            settings.architecture()
            assert options.images > 10_000
    paper = presets.load("deepfacedrawing", "paper", Settings, stage="ce")[1]
    assert (paper.ink_weight, paper.upsample, paper.narrow, paper.shares) == (1, "transpose", None, {})


# Mistakes.


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"train": 0, "test": 2}, r"split=train: .*name one of test"),
        ({"train": 0, "test": 0}, r"holds no|split=train"),
        ({"train": 1}, "has only 1 pair to train on"),
        ({"template": "apdrawing"}, "frame 'apdrawing'.*align.template=ffhq"),
        ({"sketches": False}, "stores no sketch"),
    ],
)
def test_datasets_that_will_not_do(tmp_path: Path, values: dict, words: str) -> None:
    folder = write_faces(tmp_path / "data", **values)
    with pytest.raises(UserError, match=words):
        train(folder, tmp_path / "run")
    assert not (tmp_path / "run" / "ce").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stage": "fm"}, "stage='fm': unknown; known: all, ce, fm-is"),
        ({"preset": "huge"}, "preset='huge': unknown; known: paper, small, tiny"),
        ({"part": "nose"}, "part='nose': .*add `stage` ce"),
        ({"part": "ear", "stage": "ce"}, "part='ear': unknown"),
        ({"encoders": "x"}, "encoders='x': .*add `stage` fm-is"),
        ({"stage": "fm-is"}, "holds no stage 1.*`stage` ce"),
        ({"stage": "fm-is", "encoders": "nowhere"}, "encoders='nowhere': holds no stage 1"),
        ({"init_from": "nowhere"}, "init_from='nowhere': there is no such run; name a run's folder"),
        ({"init_from": "nowhere", "stage": "fm-is"}, "init_from='nowhere': there is no such run"),
        ({"init_from": "."}, r"init_from='\.': is no run that has checkpoints; name a run's folder"),
        ({"device": "gpu"}, "device='gpu'"),
        ({"seed": -1}, "seed=-1: seed: input should be greater than or equal to 0"),
    ],
)
def test_arguments_that_will_not_do(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        train(data, tmp_path / "run", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("size=100", "size: "),
        ("size=128", "64 px, fewer than size=128"),
        ("fm-is.ganweight=1", r"overrides=\['fm-is.ganweight=1'\]: unknown key 'ganweight'"),
        ("parts=[ear]", "parts: parts are left_eye"),
        (
            "ce.ink_weight=0",
            r"overrides=\['ce.ink_weight=0'\]: ink_weight: input should be greater than or equal to 1, not '?0",
        ),
        ("sketch=hed", "stores no such stage"),
        ("fm-is.perceptual_weights=/nowhere.pth", "nowhere.pth"),
        ("fm-is.fm_start=random", "layers that begin at random must be trained"),
    ],
)
def test_settings_that_will_not_do_are_found_before_stage_1(
    data: Path, tmp_path: Path, override: str, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        train(data, tmp_path / "run", "perceptual=1", override)
    assert not (tmp_path / "run" / "ce").exists()


def test_an_unfinished_stage_1_is_not_built_upon_unless_named(finished: Path, data: Path, copied: Path) -> None:
    shutil.rmtree(copied / "fm-is")
    shutil.rmtree(copied / "ce" / "checkpoints" / "000000016")
    with pytest.raises(UserError, match=r"stopped at 8 of 16 images; .*`encoders` .*ce"):
        train(data, copied, stage="fm-is")
    assert train(data, copied, stage="fm-is", encoders=copied / "ce").exit_code == 0


def test_a_partial_checkpoint_is_named(copied: Path, data: Path) -> None:
    (copied / "ce" / "checkpoints" / "000000016" / "nose.ema.safetensors").write_bytes(b"half")
    with pytest.raises(UserError, match=r"no whole checkpoint: nose.ema.safetensors is not what was written"):
        train(data, copied, stage="fm-is")
    (copied / "ce" / "checkpoints" / "000000016" / "nose.ema.safetensors").unlink()
    with pytest.raises(UserError, match=r"no whole checkpoint: nose.ema.safetensors is missing"):
        train(data, copied)


def test_another_presets_or_stages_checkpoint_is_refused(finished: Path, data: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    with pytest.raises(UserError, match=r"another network \(latent 8, not 16\); use the preset"):
        train(data, new, "latent=16", stage="fm-is", encoders=finished)
    with pytest.raises(UserError, match="is a run of fm-is, not of stage ce"):
        train(data, new, stage="fm-is", encoders=finished / "fm-is")
    with pytest.raises(UserError, match=r"started with other settings .*latent: 8 → 16"):
        train(data, finished, "latent=16")
    with pytest.raises(UserError, match="belongs to another network"):
        train(data, new, "latent=16", stage="ce", init_from=finished)
    with pytest.raises(UserError, match="nothing that ce trains"):
        train(data, tmp_path / "newer", stage="ce", init_from=finished / "fm-is" / "checkpoints" / "000000016")


def test_init_from_a_run_gives_each_stage_its_own_weights(finished: Path, data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "new", "lr=1e-12", "images=4", init_from=finished)
    old, new = (checkpoint.read(run / "fm-is").tensors("generator.ema") for run in (finished, tmp_path / "new"))
    for name, _ in load_face_model(finished).generator.named_parameters():
        torch.testing.assert_close(old[name], new[name], rtol=0, atol=1e-6)


def test_folders_that_cannot_be_used(data: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        train(data, tmp_path / "other")
    (tmp_path / "file").write_text("")
    for run in (tmp_path / "file", tmp_path / "file" / "run", Path("/proc/run")):
        with pytest.raises(UserError) as caught:
            train(data, run)
        assert str(caught.value).startswith(f"run='{run}': cannot be written (")
        assert str(caught.value).endswith("; choose another folder")


def test_a_model_file_that_is_none(finished: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    good, bad = finished / "deepfacedrawing.safetensors", tmp_path / "bad.safetensors"
    for content in (b"", b"no tensors", good.read_bytes()[:-100]):
        bad.write_bytes(content)
        with pytest.raises(UserError, match=r"bad.safetensors: cannot be read"):
            load_face_model(bad)
    with pytest.raises(UserError, match="holds no model of faces"):
        load_face_model(finished / "encoders.safetensors")
    for path in (tmp_path, tmp_path / "none.safetensors"):
        with pytest.raises(UserError, match=r"safetensors: there is no such model of faces; .*sketchprep train"):
            load_face_model(path)
    tensors, model = load_file(good), load_face_model(good)
    del tensors["generator.decoders.nose.code.weight"]
    save_face_model(tensors, model.architecture, bad)
    with pytest.raises(UserError, match=r"generator.decoders.nose.code.weight has shape missing"):
        load_face_model(bad)
    save_file(tensors, bad, metadata={"sketchprep": json.dumps({**model.facts, "architecture": {"blocks": 10**9}})})
    with pytest.raises(UserError, match="holds no model of faces"):
        load_face_model(bad)


def test_exporting_needs_what_stage_2_was_trained_on(copied: Path) -> None:
    (copied / "encoders.safetensors").unlink()
    with pytest.raises(UserError, match=r"encoders.safetensors: cannot be read"):
        export_face_model(copied)
    shutil.copy(copied / "image_decoders.safetensors", copied / "encoders.safetensors")
    with pytest.raises(UserError, match="not what stage 2 was trained on"):
        export_face_model(copied)
