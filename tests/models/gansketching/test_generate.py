"""Generated pictures and imported runs, as a user meets them on the command line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from rule_weights import fill

from sketchprep import models
from sketchprep.cli.main import main
from sketchprep.errors import UserError
from sketchprep.models.gansketching.generate import parse_seeds
from sketchprep.models.gansketching.stylegan2 import Architecture, Discriminator, Generator

NET = Architecture(size=32, style_dim=32, mapping_layers=4, channel_base=256, channel_max=32)


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theirs")
    torch.save(fill(Generator(NET), "G/").state_dict(), folder / "netG.pth")
    torch.save(fill(Discriminator(NET), "D/").state_dict(), folder / "netD.pth")
    other = Architecture(size=64, style_dim=32, mapping_layers=4, channel_base=256, channel_max=32)
    torch.save(Discriminator(other).state_dict(), folder / "otherD.pth")
    return folder


@pytest.fixture(scope="module")
def run(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "theirs"
    done = call("import-weights", "stylegan2", files / "netG.pth", "--discriminator", files / "netD.pth", "-o", out)
    assert done.exit_code == 0, done.output
    assert "StyleGAN2 of 32 px, 4 mapping layers" in done.output
    assert "taken: generator" in done.output
    return out


def test_an_imported_run_draws_what_its_generator_draws(run: Path, tmp_path: Path) -> None:
    done = call("generate", "--run", run, "--seeds", "3,0-1", "--psi", 1, "-o", tmp_path, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert {p.name for p in tmp_path.iterdir()} == {
        "seed000000.png", "seed000001.png", "seed000003.png", "sheet.jpg", "latents.npz",
    }  # fmt: skip
    z = torch.from_numpy(np.random.RandomState(3).randn(1, 32).astype(np.float32))
    with torch.no_grad():
        wanted = fill(Generator(NET), "G/")(z, noise="fixed")[0].permute(1, 2, 0).numpy()
    picture = cv2.imread(str(tmp_path / "seed000003.png"))[..., ::-1]
    assert np.abs(picture - (wanted * 127.5 + 127.5).clip(0, 255)).max() <= 0.51


def test_latents_give_the_same_pictures_again(run: Path, tmp_path: Path) -> None:
    assert call("generate", "--run", run, "--seeds", "5-6", "-o", tmp_path / "a").exit_code == 0
    again = call("generate", "--run", run, "--latents", tmp_path / "a" / "latents.npz", "-o", tmp_path / "b")
    assert again.exit_code == 0, again.output
    first, second = (cv2.imread(str(tmp_path / name)) for name in ("a/seed000006.png", "b/latent000001.png"))
    np.testing.assert_array_equal(first, second)


def test_random_noise_is_the_seeds_own(run: Path, tmp_path: Path) -> None:
    for folder, seeds, batch in (("one", "4", 1), ("two", "4-5", 2)):
        words = ("--seeds", seeds, "--random-noise", "--batch", batch, "-o", tmp_path / folder)
        assert call("generate", "--run", run, *words).exit_code == 0
    one, two = (cv2.imread(str(tmp_path / folder / "seed000004.png")).astype(int) for folder in ("one", "two"))
    assert np.abs(one - two).max() <= 1
    assert call("generate", "--run", run, "--seeds", "4", "-o", tmp_path / "fixed").exit_code == 0
    assert np.abs(cv2.imread(str(tmp_path / "fixed" / "seed000004.png")).astype(int) - one).max() > 5


def test_any_family_opens_it(run: Path) -> None:
    sampler = models.open_model(run)
    assert (sampler.size, sampler.rows) == (32, 8)


def test_seeds() -> None:
    assert parse_seeds("0-2, 7,1") == [0, 1, 2, 7]
    for wrong in ("", "a", "5-2", "0-", "0-99999999", "-1"):
        with pytest.raises(UserError, match=r"^seeds="):
            parse_seeds(wrong)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--seeds", "x"), "must be numbers and ranges"),
        (("--psi", "1.5"), "--psi 1.5: must be from 0 to 1"),
        (("--batch", "0"), "--batch 0: must be at least 1"),
        (("--latents", "none.npy"), "is no .npy file"),
        (("--seeds", "1", "--latents", "none.npy"), "name one of them"),
    ],
)
def test_mistakes_are_one_sentence(run: Path, tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    done = call("generate", "--run", run, *words, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert done.output.startswith("Error: ")
    assert sentence in done.output


def test_wrong_latents_and_runs(run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.zeros((2, 9), np.float32))
    np.save(tmp_path / "nan.npy", np.full((2, 32), np.nan, np.float32))
    for name in ("w.npy", "nan.npy"):
        done = call("generate", "--run", run, "--latents", tmp_path / name, "-o", tmp_path / "out")
        assert done.exit_code == 2
        assert "(n, 32) for w" in done.output
    done = call("generate", "--run", tmp_path, "-o", tmp_path / "out")
    assert (done.exit_code, "import-weights stylegan2" in done.output) == (2, True)


def test_what_cannot_be_imported(files: Path, run: Path, tmp_path: Path) -> None:
    for words, sentence in (
        ((files / "netD.pth",), "holds a discriminator alone"),
        ((files / "netG.pth", "--discriminator", files / "netG.pth"), "holds no discriminator"),
        ((files / "netG.pth", "--discriminator", files / "otherD.pth"), "not of one training"),
        ((files / "none.pth",), "there is no such file"),
    ):
        done = call("import-weights", "stylegan2", *words, "-o", tmp_path / "out")
        assert done.exit_code == 2
        assert sentence in done.output
    done = call("import-weights", "stylegan2", files / "netG.pth", "-o", run)
    assert (done.exit_code, "has a model already" in done.output) == (2, True)
    assert not (tmp_path / "out").exists()


def test_a_damaged_run_is_named(run: Path, tmp_path: Path) -> None:
    data = (run / "stylegan2.safetensors").read_bytes()
    for name, content in (("cut", data[:-100]), ("empty", b""), ("other", b"\x00" * 64)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stylegan2.safetensors").write_bytes(content)
        done = call("generate", "--run", tmp_path / name, "-o", tmp_path / "out")
        assert done.exit_code == 2
        assert "stylegan2.safetensors" in done.output
