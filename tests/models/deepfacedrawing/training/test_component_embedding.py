"""Stage 1: what the autoencoders are trained on, what counts as explained, and that they learn."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_faces import write_faces
from torch import Tensor, nn

from sketchprep.models.deepfacedrawing.training.component_embedding import CeTask, drawn_error
from sketchprep.models.deepfacedrawing.training.settings import Settings
from sketchprep.ops.face_parts import PARTS, windows
from sketchprep.training.loop import fit
from sketchprep.training.options import Options, Schedule
from sketchprep.training.paired_data import Augment, PairedFaces, held_out

SMALL = {"size": 64, "latent": 32, "width": 8, "innermost": 16, "narrow": 4, "upsample": "resize", "lr": 2e-3}
QUICK = Options(
    images=64, batch=4, precision="float32", device="cpu", threads=1, stats_every=16, samples_every=64, save_every=64,
    schedule=Schedule(kind="constant"), ema_half_life=64,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces") / "data")


def task_of(data: Path, **values: object) -> CeTask:
    settings = Settings.model_validate({**SMALL, **values})
    faces = PairedFaces(data, size=64, photos=False, augment=settings.augment)
    return CeTask(settings, faces, held_out(data, size=64, photos=False))


class Drawn(nn.Module):
    """Draws what a function makes of the part."""

    def __init__(self, function) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.function, self.one = function, nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def test_explained_variance_is_1_for_a_copy_0_for_the_mean_and_negative_for_worse(data: Path) -> None:
    task = task_of(data)

    def unexplained(**functions: object) -> Mapping[str, float]:
        return task.scores({part: Drawn(functions.get(part, lambda x: x)) for part in PARTS})

    usual = {part: mean for part, (mean, _) in task.usual().items()}
    scores = unexplained(
        nose=lambda x: usual["nose"].expand_as(x), mouth=lambda x: -x, remainder=lambda x: torch.ones_like(x)
    )
    assert scores["unexplained.left_eye"] == 0
    assert scores["unexplained.nose"] == pytest.approx(1, abs=1e-5)
    assert scores["unexplained.mouth"] > 4
    assert scores["unexplained.remainder"] > 1
    assert scores["unexplained.mean"] == pytest.approx(np.mean([scores[f"unexplained.{part}"] for part in PARTS]))


def test_the_usual_picture_is_the_mean_of_the_training_sketches(data: Path) -> None:
    task = task_of(data)
    sketches = task.faces.fixed(100)["sketch"][:, 0] / 127.5 - 1
    window = windows(64)["mouth"].slices
    mean, variance = task.usual()["mouth"]
    np.testing.assert_allclose(mean[0].numpy(), sketches.mean(0)[window], atol=1e-5)
    assert variance == pytest.approx(sketches.var(0)[window].mean(), rel=1e-4)


def test_each_part_learns_its_window_alone_and_the_remainder_what_is_left(data: Path) -> None:
    task = task_of(data)
    batch = {name: torch.from_numpy(array) for name, array in task.batch(range(3)).items()}
    seen: dict[str, Tensor] = {}

    def watch(part: str) -> nn.Module:
        return Drawn(lambda x: seen.setdefault(part, x))

    for phase in task.phases():
        losses = phase.loss({part: watch(part) for part in PARTS}, batch)
        assert losses["mse"] == 0
        assert losses["unexplained"] == 0
    whole = batch["sketch"][:, 0].numpy()
    for part, window in windows(64).items():
        if part != "remainder":
            np.testing.assert_allclose((seen[part][:, 0].numpy() + 1) * 127.5, whole[:, *window.slices], atol=1e-3)
            assert (seen["remainder"][:, 0, *window.slices] == 1).all()


def test_ink_counts_as_often_as_it_says() -> None:
    image = torch.ones(1, 1, 10, 10)
    image[..., 0, :] = -1  # a tenth is ink
    missed, invented = torch.ones_like(image), image.clone()
    invented[..., 5, :] = -1  # as much ink where none is
    assert drawn_error(missed, image, 1) == pytest.approx(0.4)
    assert drawn_error(missed, image, 1) == drawn_error(invented, image, 1)
    assert drawn_error(missed, image, 4) == pytest.approx(4 * float(drawn_error(invented, image, 4)))
    assert drawn_error(image, image, 4) == 0
    both = drawn_error(torch.cat([missed, invented]), torch.cat([image, image]), 4)
    assert both == pytest.approx(float(drawn_error(missed, image, 4) + drawn_error(invented, image, 4)) / 2)


def test_mirrored_sketches_are_cut_at_mirrored_windows(data: Path) -> None:
    plain, mirrored = task_of(data), task_of(data, augment=Augment(flip=1.0))
    one, other = (
        task.parts({name: torch.from_numpy(array) for name, array in task.batch(range(4)).items()})
        for task in (plain, mirrored)
    )
    for part, twin in (("left_eye", "right_eye"), ("right_eye", "left_eye"), ("mouth", "mouth"), ("nose", "nose")):
        assert torch.equal(one[part], other[twin].flip(-1))


def test_shares_decide_how_often_a_part_is_trained(data: Path, tmp_path: Path) -> None:
    task = task_of(data, parts=["nose", "remainder"], shares={"nose": 4})
    assert {phase.name: phase.every for phase in task.phases()} == {"nose": 4, "remainder": 1}
    fit(task, tmp_path / "run", QUICK.model_copy(update={"images": 32}), quiet=True)
    from sketchprep.training import checkpoint

    steps = {
        name: next(iter(state["state"].values()))["step"]
        for name, state in checkpoint.read(tmp_path / "run").optimisers().items()
    }
    assert steps == {"nose": 2, "remainder": 8}
    alone = task_of(data, parts=["nose", "mouth"], shares={"nose": 2, "mouth": 4})
    assert [phase.every for phase in alone.phases()] == [1, 2]


def test_autoencoders_learn_eight_faces(data: Path, tmp_path: Path) -> None:
    fit(task_of(data), tmp_path / "run", QUICK.model_copy(update={"images": 640, "batch": 8}), quiet=True)
    told = [json.loads(line) for line in (tmp_path / "run" / "stats.jsonl").read_text().splitlines()]
    for part in PARTS:
        first, last = (line[f"{part}.unexplained"] for line in (told[0], told[-1]))
        assert last < min(0.8, first / 2), part


def test_a_task_travels_to_workers_small(data: Path) -> None:
    task = task_of(data)
    task.usual()
    again = pickle.loads(pickle.dumps(task))
    assert again._usual is None
    assert np.array_equal(again.batch([3])["sketch"], task.batch([3])["sketch"])


@pytest.mark.parametrize("parts", [PARTS, ("nose",), ("left_eye", "remainder")])
def test_samples_show_sketches_and_what_their_codes_draw(data: Path, parts: tuple[str, ...]) -> None:
    task = task_of(data, parts=parts)
    sheet = task.samples({part: Drawn(lambda x: x) for part in parts})
    assert sheet.dtype == np.uint8
    assert sheet.ndim == 3
    columns = 1 + 2 * len(parts) + (len(parts) == 5)
    assert sheet.shape[1] == columns * 198 + 6
    if len(parts) == 5:
        tiles = [sheet[30:222, 6 + 198 * at : 198 * (at + 1)] for at in range(2)]
        assert tiles[0].min() < 60
        # The windows lie where they were cut: copies of the parts make the sketch whole again.
        assert np.array_equal(tiles[0], tiles[1])
