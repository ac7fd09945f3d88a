"""The whole evaluation, on few small pictures, with a network that has learnt nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from portraits import PORTRAITS

from sketchprep.core import weights as assets
from sketchprep.errors import UserError
from sketchprep.evaluation.landmark_coverage import coverage
from sketchprep.models.simplifier.evaluation import settings
from sketchprep.models.simplifier.evaluation.evaluate import evaluate_simplifier, measure_pair
from sketchprep.models.simplifier.evaluation.methods import open_methods, otsu
from sketchprep.models.simplifier.evaluation.sets import Pair, spread
from sketchprep.models.simplifier.evaluation.settings import Settings
from sketchprep.nn.simplifier import Simplifier, save_simplifier
from sketchprep.ops.align import align, ffhq_matrix, transform_points
from sketchprep.sketching.landmarks import Landmarker

PRESET = """
methods: [raw, otsu, clean, ours, ours-tidy]
resamples: 50
drawings: {count: 2, size: 96}
scenes: {count: 2, size: 96}
photocopies: {count: 2}
faces: {count: 2, worst: 2}
sheet: 2
"""


class Bar:
    """Counts what a progress bar would show."""

    def __init__(self, total: int, description: str) -> None:
        self.total, self.n, self.closed = total, 0, False

    def update(self, number: int = 1) -> None:
        self.n += number

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "fresh.safetensors"
    save_simplifier(Simplifier(8), path)
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces in the frame at 256 px in CelebAMask-HQ's layout, and one picture too wide."""
    root = tmp_path_factory.mktemp("corpus") / "aligned"
    (root / "CelebA-HQ-img").mkdir(parents=True)
    landmarker = Landmarker(assets.path("dlib-landmarks-68"))
    for number, name in ((7, "female-13"), (12, "male-07")):
        photo = cv2.imread(str(PORTRAITS / f"{name}.jpg"))[..., ::-1]
        points = landmarker.points(photo, landmarker.faces(photo)[0])
        image = align(photo, points, size=256).image
        cv2.imwrite(str(root / "CelebA-HQ-img" / f"{number}.jpg"), image[..., ::-1])
    cv2.imwrite(str(root / "CelebA-HQ-img" / "3.jpg"), np.full((64, 80, 3), 200, np.uint8))
    return root


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preset") / "small.yaml"
    path.write_text(PRESET.replace("count: 2, worst", "count: 3, worst"))
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One portrait that is held out, one that is trained on."""
    folder = tmp_path_factory.mktemp("portraits")
    for name in ("male-00", "male-07"):
        (folder / f"{name}.jpg").write_bytes((PORTRAITS / f"{name}.jpg").read_bytes())
    return folder


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory, weights: Path, corpus: Path, preset: Path, photos: Path
) -> tuple[Path, dict[str, Any], list[Bar]]:
    out = tmp_path_factory.mktemp("run") / "deep" / "out"
    bars: list[Bar] = []

    def progress(total: int, description: str) -> Bar:
        bars.append(Bar(total, description))
        return bars[-1]

    evaluate_simplifier(out, preset=preset, photos=photos, celebamask=corpus, weights=weights, progress=progress)
    return out, json.loads((out / "metrics.json").read_text()), bars


def test_it_leaves_table_figures_and_pictures(done: tuple[Path, dict[str, Any], list[Bar]]) -> None:
    out, values, bars = done
    table = (out / "table.md").read_text()
    for words in (
        "Rough drawings (2)",
        "held-out portraits (2), the face",
        "Parts of faces: aligned (2)",
        "The worst 2",
    ):
        assert words in table
    sheet, worst = cv2.imread(str(out / "sheet.jpg")), cv2.imread(str(out / "worst.jpg"))
    assert sheet.shape[1] > 7 * 300  # photo, photocopy, Otsu, clean, ours, tidied, target
    assert worst.shape[0] > 2 * 300
    assert values["network"]["sha256"] in table
    assert all(bar.closed and bar.n == bar.total > 0 for bar in bars)


def test_only_held_out_portraits_are_judged(done: tuple[Path, dict[str, Any], list[Bar]]) -> None:
    _, values, _ = done
    names = {row["name"] for row in values["pairs"] if row["set"] == "photocopies"}
    assert names == {"male-00-gegl", "male-00-classic"}
    assert [row["name"] for row in values["faces"] if row["set"] == "portraits"] == ["male-00"]


def test_faces_come_in_the_order_of_their_numbers_and_bad_ones_are_named(
    done: tuple[Path, dict[str, Any], list[Bar]],
) -> None:
    _, values, _ = done
    assert [row["name"] for row in values["faces"] if row["set"] == "aligned"] == ["7", "12"]
    assert any("aligned 3" in note and "square" in note for note in values["notes"])
    assert not any("CelebAMask-HQ: left out" in note for note in values["notes"])


def test_the_teacher_shows_every_part_and_agrees_with_itself(done: tuple[Path, dict[str, Any], list[Bar]]) -> None:
    _, values, _ = done
    teacher = next(row for row in values["faces"] if row["set"] == "portraits")["methods"]["teacher"]
    assert min(teacher[part] for part in ("left_eye", "right_eye", "mouth", "jaw")) >= 0.8


def test_the_worst_are_those_with_the_least_covered_part(done: tuple[Path, dict[str, Any], list[Bar]]) -> None:
    _, values, _ = done
    judged = values["settings"]["faces"]["judged"]
    least = {(row["set"], row["name"]): min(row["methods"]["ours"][part] for part in judged) for row in values["faces"]}
    worst = [least[row["set"], row["name"]] for row in values["worst"]]
    assert worst == sorted(least.values())[:2]


def test_the_same_again_gives_the_same_figures(
    done: tuple[Path, dict[str, Any], list[Bar]],
    tmp_path: Path,
    weights: Path,
    corpus: Path,
    preset: Path,
    photos: Path,
) -> None:
    out, _, _ = done
    evaluate_simplifier(
        tmp_path, preset=preset, photos=photos, celebamask=[corpus], weights=weights, cache=out / "teacher"
    )
    for name in ("metrics.json", "table.md", "sheet.jpg", "worst.jpg"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_without_a_network_and_a_folder_of_faces_it_says_what_is_left_out(
    done: tuple[Path, dict[str, Any], list[Bar]], tmp_path: Path, photos: Path
) -> None:
    preset = tmp_path / "classical.yaml"
    preset.write_text("methods: [otsu]\ndrawings: {count: 3, size: 64}\nscenes: {count: 3, size: 64}\n")
    report = evaluate_simplifier(tmp_path / "o", preset=preset, photos=photos, limit=1, cache=done[0] / "teacher")
    assert "--celebamask" in report.text()
    assert report.network == {}
    assert {kind: sum(row["set"] == kind for row in report.pairs) for kind in ("drawings", "photocopies")} == {
        "drawings": 1,
        "photocopies": 1,
    }


def test_the_wanted_drawing_itself_is_perfect_and_its_negative_is_not() -> None:
    clean = np.full((64, 64), 255, np.uint8)
    clean[30:32] = 0
    face = np.zeros((64, 64), bool)
    face[:, :32] = True
    pair = Pair("photocopies", "one", "one", clean, clean, face)
    figures = measure_pair(pair, {"ours": clean, "raw": 255 - clean}, Settings())["methods"]
    for region in ("all", "face", "rest"):
        assert figures["ours"][region]["f"] == 1
        assert figures["ours"][region]["chamfer"] == 0
        assert figures["ours"][region]["ink"] == pytest.approx(2 / 64)
        assert figures["raw"][region]["precision"] < 0.1


def test_all_methods_answer_with_a_picture_of_the_same_size(weights: Path) -> None:
    methods, _ = open_methods(
        ["raw", "otsu", "fdog", "clean", "ours", "ours-tidy", "recipe"], weights=weights, device="cpu"
    )
    rough = np.full((40, 56), 255, np.uint8)
    rough[18:21, 5:50] = 30
    drawn = methods(rough)
    assert list(drawn) == ["raw", "otsu", "fdog", "clean", "ours", "ours-tidy", "recipe"]
    assert all(d.shape == rough.shape and d.dtype == np.uint8 for d in drawn.values())
    for name in ("raw", "otsu", "fdog", "clean"):
        assert drawn[name][19, 25] < 100 < drawn[name][5, 25]
    assert (rough[18:21, 5:50] == 30).all()


def test_the_recipe_draws_parts_the_photocopy_has_nothing_of_where_the_landmarks_are_known(weights: Path) -> None:
    methods, _ = open_methods(["recipe"], weights=weights, device="cpu")
    photo = cv2.imread(str(PORTRAITS / "female-13.jpg"))[..., ::-1]
    landmarker = Landmarker(assets.path("dlib-landmarks-68"))
    found = landmarker.points(photo, landmarker.faces(photo)[0])
    points = transform_points(ffhq_matrix(found, 512), found)
    blank = np.full((512, 512), 255, np.uint8)
    shown = {
        known: coverage(methods(blank, landmarks)["recipe"] < 128, points)
        for known, landmarks in (("without", None), ("with", points))
    }
    for part in ("left_eye", "right_eye", "nose_base", "mouth", "jaw_inner"):
        assert shown["without"][part] == 0
        assert shown["with"][part] >= 0.8


@pytest.mark.parametrize("name", ["celebamask-hq", "folder", "portraits"])
def test_what_is_measured_as_the_recipe_is_what_the_recipes_do(name: str) -> None:
    from sketchprep.ops.missing_lines import complete
    from sketchprep.ops.photocopy import photocopy
    from sketchprep.ops.stroke_cleanup import tidy
    from sketchprep.sketching import recipe

    methods, _ = open_methods(["ours", "recipe"], device="cpu")
    photo = cv2.imread(str(PORTRAITS / "female-13.jpg"))
    drawn = methods(photocopy(cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)), None)
    wanted = complete(tidy(drawn["ours"], **recipe.load(name).stages["tidied"].params))
    assert 0.02 < (wanted < 128).mean() < 0.98
    np.testing.assert_array_equal(drawn["recipe"], wanted)


def test_otsu_keeps_blank_pages_as_they_are() -> None:
    assert (otsu(np.full((20, 20), 240, np.uint8)) == 255).all()
    assert (otsu(np.full((20, 20), 5, np.uint8)) == 0).all()
    page = np.full((20, 20), 200, np.uint8)
    page[4:6] = 150
    assert (otsu(page)[4:6] == 0).all()
    assert (otsu(page)[8:] == 255).all()


def test_spread_takes_the_first_and_even_steps() -> None:
    assert spread(list(range(10)), 5) == [0, 2, 4, 6, 8]
    assert spread([1, 2], 5) == [1, 2]
    assert spread([1, 2], 0) == []


def test_the_shipped_preset_can_be_read_and_is_no_recipe() -> None:
    from sketchprep.sketching import recipe

    found = settings.load()
    assert found.photocopies.count == 48
    assert set(found.faces.judged) >= {"left_eye", "right_eye", "mouth", "jaw"}
    assert "simplify-eval" not in recipe.names()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("methods: [ous]", "'ous' is unknown"),
        ("metods: [ours]", "unknown key 'metods' (did you mean 'methods'"),
        ("level: 0", "level"),
        ("faces: {judged: [left_ear]}", "left_ear"),
        ("methods: [otsu, otsu]", "once"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_mistake_in_a_preset_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"^preset='") as caught:
        settings.load(path)
    assert words in str(caught.value)


def test_mistakes_in_the_options_are_named(tmp_path: Path, weights: Path, photos: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("methods: [otsu]\ndrawings: {count: 1, size: 64}\nscenes: {count: 0}\n")
    with pytest.raises(UserError, match="preset='nonsense'"):
        evaluate_simplifier(tmp_path / "o", preset="nonsense")
    with pytest.raises(UserError, match="limit=0"):
        evaluate_simplifier(tmp_path / "o", preset=path, limit=0)
    with pytest.raises(UserError, match=r"^photos='"):
        evaluate_simplifier(tmp_path / "o", preset=path, photos=tmp_path / "nowhere")
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "male-07.jpg").write_bytes((photos / "male-07.jpg").read_bytes())
    with pytest.raises(UserError, match="held-out"):
        evaluate_simplifier(tmp_path / "o", preset=path, photos=tmp_path / "trained")
    with pytest.raises(UserError, match=r"^celebamask='"):
        evaluate_simplifier(tmp_path / "o", preset=path, photos=photos, celebamask=tmp_path / "nowhere")
    assert not (tmp_path / "o").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="-o"):
        evaluate_simplifier(tmp_path / "file", preset=path, photos=photos)
    with pytest.raises(UserError, match=r"nowhere\.safetensors"):
        evaluate_simplifier(tmp_path / "o", photos=photos, weights=tmp_path / "nowhere.safetensors")
