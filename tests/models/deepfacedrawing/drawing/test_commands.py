"""The drawing commands: what they leave in a folder, what they say, how they end."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from drawn_faces import draw
from PIL import Image

from sketchprep.cli.main import main


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawings, and everything that is none."""
    folder = tmp_path_factory.mktemp("pages")
    for number in (200, 201):
        assert cv2.imwrite(str(folder / f"{number}.png"), draw(number, 300)[1])
    assert cv2.imwrite(str(folder / "empty.png"), np.full((99, 99), 255, np.uint8))
    assert cv2.imwrite(str(folder / "black.png"), np.zeros((99, 99), np.uint8))
    assert cv2.imwrite(str(folder / "tiny.png"), np.zeros((9, 99), np.uint8))
    (folder / "cut.png").write_bytes((folder / "200.png").read_bytes()[:200])
    (folder / "text.jpg").write_text("a face")
    # A header that claims more pixels than any picture may have.
    header = bytearray((folder / "200.png").read_bytes())
    header[16:24] = (100_000).to_bytes(4, "big") * 2
    (folder / "bomb.png").write_bytes(header)
    return folder


def test_synthesize_leaves_a_face_for_each_and_a_sheet(run: Path, pages: Path, tmp_path: Path) -> None:
    before = (pages / "200.png").read_bytes()
    result = call("synthesize", pages / "200.png", pages / "201.png", "-o", tmp_path / "o", "--run", run, "--shadow")
    assert result.exit_code == 0, result.output
    assert "2 of 2 faces" in result.output
    assert names(tmp_path / "o") == ["200.png", "200.shadow.png", "201.png", "201.shadow.png", "sheet.jpg"]
    assert cv2.imread(str(tmp_path / "o/200.png")).shape == (64, 64, 3)
    assert cv2.imread(str(tmp_path / "o/sheet.jpg")).shape[1] > 4 * 250
    assert (pages / "200.png").read_bytes() == before


def test_a_picture_named_twice_is_drawn_once(run: Path, pages: Path, tmp_path: Path) -> None:
    result = call("synthesize", pages / "200.png", pages / "200.png", "-o", tmp_path / "o", "--run", run)
    assert result.exit_code == 0, result.output
    assert "1 of 1 faces" in result.output
    assert names(tmp_path / "o") == ["200.png", "sheet.jpg"]


def test_the_batch_changes_nothing(run: Path, pages: Path, tmp_path: Path) -> None:
    for batch in (1, 2):
        words = ("--run", run, "--batch", batch, "--wb", "0.6,nose=0")
        assert (
            call("synthesize", pages / "200.png", pages / "201.png", "-o", tmp_path / str(batch), *words).exit_code == 0
        )
    first, second = (cv2.imread(str(tmp_path / n / "201.png")).astype(int) for n in "12")
    assert np.abs(first - second).max() <= 2


def test_bad_pictures_are_named_and_the_rest_is_drawn(run: Path, pages: Path, tmp_path: Path) -> None:
    paths = [pages / n for n in ("empty.png", "black.png", "tiny.png", "cut.png", "text.jpg", "bomb.png", "200.png")]
    result = call("synthesize", *paths, pages / "missing.png", "-o", tmp_path / "o", "--run", run)
    assert result.exit_code == 1
    assert result.output.count("failed  ") == 7
    assert result.output.count("no ink on the page") == 2
    assert "1 of 8 faces" in result.output
    assert names(tmp_path / "o") == ["200.png", "sheet.jpg"]


def test_a_drawing_outside_the_frame_gets_a_note_and_align_mends_it(run: Path, tmp_path: Path) -> None:
    page = np.full((600, 600), 255, np.uint8)
    page[20:220, 380:580] = draw(300, 200)[1]
    path = tmp_path / "corner.png"
    assert cv2.imwrite(str(path), page)
    result = call("synthesize", path, "-o", tmp_path / "a", "--run", run)
    assert result.exit_code == 0
    assert "may not sit in the frame" in result.output
    assert "--align ink" in result.output
    mended = call("synthesize", path, "-o", tmp_path / "b", "--run", run, "--align", "ink")
    assert "its ink" not in mended.output
    points = "455,116,504,116,480,147,468,167,491,167"
    assert "its ink" not in call("synthesize", path, "-o", tmp_path / "c", "--run", run, "--align", points).output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--wb", "1.5"], "--wb 1.5: must be from 0"), (["--wb", "nose=nan"], "--wb nose=nan: must be from 0"),
        (["--wb", ".2,chin=1"], "--wb chin=1: there is no part 'chin'; use all, left_eye"), (["--wb", "x"], "--wb x"),
        (["-k", "0"], "at least 1"), (["--batch", "0"], "--batch 0"), (["--align", "up"], "--align up"),
        (["--input", "cat"], "--input cat"), (["--bank", "Male=1"], "no such attribute"),
        (["--recipe", "nothing"], "--recipe nothing"), (["--bank-file", "nothing.st"], "no such bank"),
        (["--device", "tpu"], "--device tpu"), (["--model", "other.safetensors"], "only one of them"),
    ],
)  # fmt: skip
def test_mistakes_end_with_one_sentence(run: Path, pages: Path, tmp_path: Path, words: list[str], message: str) -> None:
    result = call("synthesize", pages / "200.png", "-o", tmp_path / "o", "--run", run, *words)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_pictures_that_cannot_be_used_leave_no_folder(run: Path, pages: Path, tmp_path: Path) -> None:
    result = call("synthesize", pages / "none.png", pages, "-o", tmp_path / "new" / "o", "--run", run)
    assert result.exit_code == 1
    assert "'none.png' is not there" in result.output
    assert f"it is a folder; name the pictures in it, for instance {pages}/*.png" in result.output
    assert not list(tmp_path.iterdir())


def test_without_a_bank_only_the_drawing_can_be_followed(run: Path, pages: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    model.write_bytes((run / "deepfacedrawing.safetensors").read_bytes())
    result = call("synthesize", pages / "200.png", "-o", tmp_path / "o", "--model", model)
    assert result.exit_code == 2
    assert "sketchprep bank" in result.output
    assert call("synthesize", pages / "200.png", "-o", tmp_path / "o", "--model", model, "--wb", "1").exit_code == 0
    shadow = call("synthesize", pages / "200.png", "-o", tmp_path / "p", "--model", model, "--wb", "1", "--shadow")
    assert shadow.exit_code == 2
    assert "--shadow needs a bank" in shadow.output
    missing = call("synthesize", pages / "200.png", "-o", tmp_path / "o", "--run", tmp_path / "nowhere")
    assert missing.exit_code == 2
    assert "train one" in missing.output


def test_bank_is_made_and_found_beside_the_model(run: Path, pages: Path, tmp_path: Path) -> None:
    model = tmp_path / "deepfacedrawing.safetensors"
    model.write_bytes((run / "deepfacedrawing.safetensors").read_bytes())
    result = call("bank", "--run", tmp_path, "--data", run / "data", "--limit", 20, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "20 faces, 24 numbers a part" in result.output
    assert call("synthesize", pages / "200.png", "-o", tmp_path / "o", "--run", tmp_path).exit_code == 0
    wrong = call("bank", "--run", tmp_path, "--data", tmp_path / "nothing")
    assert wrong.exit_code == 2
    assert "holds no dataset" in wrong.output
    for words, message in (
        (("--run", tmp_path, "-o", tmp_path), f"-o {tmp_path}: is a folder; name a file"),
        (("--run", pages), "there is no such model of faces; name another run, or train one"),
    ):
        mistaken = call("bank", *words, "--data", run / "data")
        assert mistaken.exit_code == 2
        assert message in mistaken.output


def test_morph_leaves_frames_a_strip_and_a_gif(run: Path, pages: Path, tmp_path: Path) -> None:
    result = call("morph", pages / "200.png", pages / "201.png", "-o", tmp_path / "o", "--run", run, "--frames", 4)
    assert result.exit_code == 0, result.output
    assert "strip.jpg" in result.output
    assert names(tmp_path / "o") == [*(f"frame-00{n}.png" for n in range(4)), "morph.gif", "strip.jpg"]
    with Image.open(tmp_path / "o/morph.gif") as animation:
        assert (animation.n_frames, animation.size) == (6, (64, 64))
    broken = call("morph", pages / "200.png", pages / "empty.png", "-o", tmp_path / "p", "--run", run)
    assert broken.exit_code == 2
    assert "empty.png: there is no ink" in broken.output
    assert not (tmp_path / "p").exists()


def test_copy_paste_leaves_a_face_and_a_sheet(run: Path, pages: Path, tmp_path: Path) -> None:
    words = ("--base", pages / "200.png", "-o", tmp_path / "o", "--run", run)
    result = call("copy-paste", *words, "--left-eye", pages / "201.png", "--mouth", pages / "201.png")
    assert result.exit_code == 0, result.output
    assert names(tmp_path / "o") == ["face.png", "sheet.jpg", "sketch.png"]
    nothing = call("copy-paste", *words)
    assert nothing.exit_code == 2
    assert "needs a part" in nothing.output


def test_interpolate_measures_the_way(run: Path, tmp_path: Path) -> None:
    result = call("interpolate", "face-2", "face-9", "-o", tmp_path / "o", "--run", run, "--frames", 3)
    assert result.exit_code == 0, result.output
    assert "half way" in result.output
    assert names(tmp_path / "o") == [*(f"frame-00{n}.png" for n in range(3)), "interpolate.gif", "strip.jpg"]
    strange = call("interpolate", "face-2", "nobody", "-o", tmp_path / "p", "--run", run)
    assert strange.exit_code == 2
    assert "no face 'nobody'" in strange.output


def test_help_is_there_without_heavy_imports() -> None:
    for command in ("bank", "synthesize", "morph", "copy-paste", "interpolate"):
        assert call(command, "--help").exit_code == 0
