"""`train stylegan2`: a run of a few steps, resumed to the same bytes, and used by `generate`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from sketchprep import models
from sketchprep.cli.main import main
from sketchprep.errors import UserError
from sketchprep.models.gansketching import features
from sketchprep.models.gansketching.training.photos import Photos
from sketchprep.training import checkpoint

SMALL = ("size=16", "style_dim=8", "mapping_layers=2", "channel_base=64", "channel_max=8", "batch=2", "r1_every=2")


@pytest.fixture(autouse=True)
def quick_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "trunk_features", lambda pictures: pictures.reshape(len(pictures), -1) / 255)


def train(data: Path, run: Path, images: int, *more: str) -> Result:
    words = ["train", "stylegan2", "--data", str(data), "--run", str(run)]
    changes = [*SMALL, f"images={images}", "save_every=4", "samples_every=4", "keep=9", "stats_every=2", *more]
    result = CliRunner().invoke(main, [*words, *(word for change in changes for word in ("--set", change))])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_run_leaves_a_generator_that_draws_and_resumes_bit_for_bit(built: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(built, run, 8).exit_code == 0
    assert (run / "stylegan2.safetensors").is_file()
    assert (run / "curves.png").is_file()
    assert list((run / "samples").glob("*"))
    assert models.open_model(run).size == 16
    drawn = CliRunner().invoke(main, ["generate", "--run", str(run), "--seeds", "0-3", "-o", str(tmp_path / "drawn")])
    assert drawn.exit_code == 0, drawn.output
    assert len(list((tmp_path / "drawn").glob("seed*.png"))) == 4
    newest = checkpoint.path_of(run, 8)
    whole = {path.name: path.read_bytes() for path in newest.glob("*.safetensors")}
    for path in newest.iterdir():
        path.unlink()
    newest.rmdir()
    assert train(built, run, 8).exit_code == 0
    assert {path.name: path.read_bytes() for path in newest.glob("*.safetensors")} == whole


def test_a_folder_of_pictures_will_do_and_its_order_depends_on_the_seed_alone(photos: Path) -> None:
    first, again = (Photos(photos, size=16, seed=3) for _ in range(2))
    batches = [source.batch(range(12)) for source in (first, again)]
    assert batches[0].shape == (12, 3, 16, 16)
    assert np.array_equal(*batches)
    assert not np.array_equal(batches[0], Photos(photos, size=16, seed=4).batch(range(12)))
    unflipped = Photos(photos, size=16, flip=False).batch(range(6))
    assert len({photo.tobytes() for photo in unflipped}) == 6, "each photo once in an epoch"


def test_mistakes_are_one_sentence(built: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="photo"):
        Photos(tmp_path / "empty", size=16)
    result = train(built, tmp_path / "run", 4, "size=48")
    assert result.exit_code == 2
    assert "size: must be one of 16, 32" in result.output
    result = train(built, tmp_path / "run", 4, "augment=[rotate]")
    assert result.exit_code == 2
    assert "knows color, translation" in result.output
    result = train(built, tmp_path / "run", 4, "size=512")
    assert result.exit_code == 2
    assert "fewer than size=512" in result.output
