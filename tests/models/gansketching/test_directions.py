"""Directions in W: found, written, read from files of others, and applied."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from rule_weights import fill

from sketchprep.cli.main import main
from sketchprep.errors import UserError
from sketchprep.models.gansketching import directions
from sketchprep.models.gansketching.edits import apply_edits, parse_edit
from sketchprep.models.gansketching.model import open_run, save_stylegan2
from sketchprep.models.gansketching.stylegan2 import Architecture, Generator

NET = Architecture(32, 32, 4, channel_base=256, channel_max=32)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save_stylegan2(tmp_path / "run", fill(Generator(NET), "G/"))
    return tmp_path / "run"


def call(*words: object) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_principal_components_are_those_of_the_samples() -> None:
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    deviations = np.array([5, 3, 2, 1, 0.5, 0.1])
    w = rng.standard_normal((50_000, 6)) * deviations @ turn.T + 7
    found = directions.fit_ganspace(w, 4)
    assert found.sizes == pytest.approx(deviations[:4], rel=0.02)
    assert np.abs((found.components * turn.T[:4]).sum(1)).min() > 0.999
    assert found.mean == pytest.approx(np.full(6, 7), abs=0.1)


def test_factorisation_gives_the_directions_that_move_the_styles_most() -> None:
    state = fill(Generator(NET), "G/").state_dict()
    found = directions.factorise(state, 32)
    stacked = torch.cat([v for k, v in state.items() if k.endswith("modulation.weight") and "to_rgbs" not in k])
    moved = np.linalg.norm(stacked.numpy() @ found.components.T, axis=0)
    assert (np.diff(moved) <= 1e-3).all()
    assert np.allclose(found.components @ found.components.T, np.eye(32), atol=1e-5)


def test_an_edit_means_the_same_at_any_truncation(run: Path, tmp_path: Path) -> None:
    sampler = open_run(run)
    assert (
        call("directions", "--run", run, "-o", tmp_path / "d.npz", "--components", 5, "--samples", 500).exit_code == 0
    )
    change = parse_edit(f"{tmp_path}/d.npz:2=3@2-4", style_dim=32)
    z = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    steps = []
    for psi in (1.0, 0.5):
        w = sampler.map(z, psi=psi)
        moved = apply_edits(sampler, w, [change])
        assert torch.equal(moved[:, :2], w[:, None].expand(-1, 2, -1))
        assert torch.equal(moved[:, 5:], w[:, None].expand(-1, sampler.rows - 5, -1))
        steps.append(moved[:, 2:5] - w[:, None])
    assert torch.allclose(*steps, atol=1e-5)
    assert float(steps[0][0, 0].norm()) == pytest.approx(3 * np.load(tmp_path / "d.npz")["lat_stdev"][2], rel=1e-4)


def test_generate_draws_edited_pictures(run: Path, tmp_path: Path) -> None:
    assert (
        call("directions", "--run", run, "-o", tmp_path / "d.npz", "--method", "sefa", "--components", 3).exit_code == 0
    )
    plain = call("generate", "--run", run, "--seeds", "0-1", "-o", tmp_path / "plain")
    edited = call(
        "generate", "--run", run, "--seeds", "0-1", "-o", tmp_path / "edited", "--edit", f"{tmp_path}/d.npz:0=4"
    )
    assert plain.exit_code == edited.exit_code == 0, edited.output
    pictures = [cv2.imread(str(tmp_path / name / "seed000000.png")).astype(int) for name in ("plain", "edited")]
    assert np.abs(pictures[0] - pictures[1]).mean() > 1


def test_directions_of_others_are_read_and_nothing_in_them_is_run(tmp_path: Path) -> None:
    torch.save(torch.ones(1, 32), tmp_path / "age.pt")
    np.save(tmp_path / "pose.npy", np.ones((1, 8, 32), np.float32))
    torch.save(
        {"mean": torch.zeros(1, 32), "comp": torch.eye(32)[:4], "std": torch.arange(1, 5.0)}, tmp_path / "pca.pt"
    )
    assert directions.read_directions(tmp_path / "age.pt", style_dim=32).components.shape == (1, 32)
    assert directions.read_directions(tmp_path / "pose.npy", style_dim=32).components.shape == (1, 8, 32)
    assert directions.read_directions(tmp_path / "pca.pt", style_dim=32).sizes.tolist() == [1, 2, 3, 4]
    (tmp_path / "bad.pt").write_bytes(b"\x80\x04cos\nsystem\n(S'touch /tmp/ran'\ntR.")
    np.save(tmp_path / "odd.npy", np.ones((2, 7), np.float32))
    np.save(tmp_path / "nan.npy", np.full((1, 32), np.nan, np.float32))
    for name, sentence in (
        ("bad.pt", "cannot be read"),
        ("odd.npy", "of shape"),
        ("nan.npy", "not finite"),
        ("no", "no such"),
    ):
        with pytest.raises(UserError, match=sentence):
            directions.read_directions(tmp_path / name, style_dim=32)


@pytest.mark.parametrize("text", ["pca.npz", "pca.npz:x=1", "pca.npz:1=", "pca.npz:1=2@3", "=3"])
def test_a_mistyped_edit_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match=r"write it as FILE:NUMBER=STRENGTH@FIRST-LAST|there is no such file"):
        parse_edit(text)


def test_rows_that_are_not_there_are_refused(run: Path, tmp_path: Path) -> None:
    assert call("directions", "--run", run, "-o", tmp_path / "d.npz", "--method", "sefa").exit_code == 2
    assert (
        call("directions", "--run", run, "-o", tmp_path / "d.npz", "--method", "sefa", "--components", 2).exit_code == 0
    )
    for edit, sentence in ((":0=1@5-9", "w+ has rows 0 to 7"), (":7=1", "the file holds directions 0 to 1")):
        words = ("generate", "--run", run, "--seeds", 0, "-o", tmp_path / "out", "--edit", f"{tmp_path}/d.npz{edit}")
        result = call(*words)
        assert result.exit_code == 2
        assert sentence in result.output
