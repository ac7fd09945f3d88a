"""The simplifier's task: its losses, presets, and a short run from pairs to weights."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from sketchprep.cli.main import main
from sketchprep.errors import UserError
from sketchprep.models.simplifier.losses import losses
from sketchprep.models.simplifier.settings import Settings
from sketchprep.models.simplifier.task import SimplifierTask
from sketchprep.models.simplifier.train import draw_pairs, train_simplifier
from sketchprep.training import presets

# Portraits need the teacher's networks; drawings are made in milliseconds.
SMALL = [
    "mix={curves: 1, photocopies: 0, teacher_lines: 0, line_art: 0, scenes: 0}",
    "width=4", "size=32", "batch=2", "precision=float32", "workers=0", "schedule.warm_up=8", "samples_every=1000",
]  # fmt: skip


def bars(*rows: int) -> torch.Tensor:
    ink = torch.zeros(1, 1, 16, 16)
    ink[:, :, list(rows)] = 1
    return ink


def test_losses_are_least_at_the_clean_drawing_and_worst_at_its_opposite() -> None:
    ink = bars(5, 6)
    even = torch.ones_like(ink)
    exact, off, opposite = (
        losses(logits, ink, even, 4.0) for logits in (20 * (2 * ink - 1), torch.zeros_like(ink), 20 * (1 - 2 * ink))
    )
    for name in ("bce", "dice", "l1"):
        assert exact[name] < 1e-4
        assert exact[name] < off[name] < opposite[name]


def test_a_missed_line_costs_more_than_an_invented_one_and_unknown_areas_cost_nothing() -> None:
    ink, even = bars(5), torch.ones(1, 1, 16, 16)
    missed = losses(10 * (2 * bars() - 1), ink, even, 4.0)
    invented = losses(10 * (2 * bars(5, 9) - 1), ink, even, 4.0)
    assert missed["bce"] > 2 * invented["bce"]
    unknown = even.clone()
    unknown[:, :, 9] = 0
    ignored = losses(10 * (2 * bars(5, 9) - 1), ink, unknown, 4.0)
    assert all(value < 1e-3 for value in ignored.values())


def test_losses_are_means_over_pictures() -> None:
    generator = torch.Generator().manual_seed(1)
    logits, weight = torch.randn(2, 4, 1, 16, 16, generator=generator).mul(3).unbind()
    ink, weight = torch.cat([bars(1), bars(2, 3, 4), bars(), bars(9)]), weight.abs()
    whole = losses(logits, ink, weight, 4.0)
    for name, value in whole.items():
        halves = [losses(logits[k], ink[k], weight[k], 4.0)[name] for k in (slice(0, 2), slice(2, 4))]
        assert torch.allclose(value, torch.stack(halves).mean(), atol=1e-6)


def test_blank_paper_has_finite_losses_and_gradients() -> None:
    logits = torch.zeros(1, 1, 16, 16, requires_grad=True)
    total = sum(losses(logits, bars(), torch.zeros(1, 1, 16, 16), 4.0).values())
    total.backward()  # type: ignore[union-attr]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_shipped_presets_are_valid_and_no_recipes() -> None:
    from sketchprep.sketching import recipe

    assert presets.names("simplifier") == ["cpu", "gpu", "cpu-no-synthetic", "cpu-no-teacher"]
    assert "simplifier" not in recipe.names()
    for name in presets.names("simplifier"):
        options, settings = presets.load("simplifier", name, Settings)
        assert options.images > 5_000
        assert settings.context > 0
        assert settings.width == 16
    full, ablated = (presets.load("simplifier", name, Settings) for name in ("cpu", "cpu-no-teacher"))
    assert ablated == (full[0], full[1].model_copy(update={"mix": "no-teacher"}))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("batchsize=4", r"overrides=\['batchsize=4'\]: unknown key 'batchsize' \(did you mean 'batch'"),
        ("batch=0", r"overrides=\['batch=0'\]: batch: .*greater than or equal to 1, not 0"),
        ("size=100", "size: .*multiple of 8"),
        ("mix=half", "mix: .*no-teacher"),
        ("mix={photos: 1}", "mix: .*kinds of pairs are photocopies"),
        ("schedule.kind=steps", r"schedule\.kind"),
    ],
)
def test_mistakes_in_settings_name_the_key(tmp_path: Path, override: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        train_simplifier(tmp_path / "run", overrides=[override], quiet=True)
    with pytest.raises(UserError, match="preset='tpu': unknown; known: cpu, gpu"):
        train_simplifier(tmp_path / "run", preset="tpu", quiet=True)


def small_task(**values: object) -> SimplifierTask:
    _, settings = presets.load("simplifier", "cpu", Settings, SMALL, **values)
    return SimplifierTask(settings)


def test_batches_follow_from_seed_and_visit_also_in_another_process() -> None:
    task = small_task()
    again = pickle.loads(pickle.dumps(task))
    one, other = task.batch([5, 9]), again.batch([9, 5])
    for name in ("rough", "clean", "weight"):
        assert one[name].shape == (2, 1, 32, 32)
        assert np.array_equal(one[name], other[name][::-1])
    assert not np.array_equal(one["clean"][0], one["clean"][1])


def test_ten_pairs_are_learnt(tmp_path: Path) -> None:
    from sketchprep.training.loop import fit

    class Ten(SimplifierTask):
        def batch(self, visits):  # type: ignore[no-untyped-def]
            return super().batch([visit % 8 for visit in visits])

    options, settings = presets.load(
        "simplifier", "cpu", Settings, [*SMALL, "batch=8", "width=8", "images=1600", "stats_every=80", "lr=0.01"]
    )
    fit(Ten(settings), tmp_path / "run", options.model_copy(update={"device": "cpu"}), quiet=True)
    import json

    told = [json.loads(line) for line in (tmp_path / "run" / "stats.jsonl").read_text().splitlines()]
    assert told[-1]["net.total"] < 0.4 * told[0]["net.total"]


def test_pairs_can_be_looked_at_before_training(tmp_path: Path) -> None:
    sheet = tmp_path / "pairs.png"
    words = [word for override in SMALL for word in ("--set", override)]
    result = CliRunner().invoke(main, ["train", "simplifier", *words, "--seed", "3", "--sheet", str(sheet)])
    assert result.exit_code == 0
    shown = cv2.imread(str(sheet), cv2.IMREAD_GRAYSCALE)
    settings = small_task().settings
    for seed, there in ((3, True), (4, False)):
        rough = SimplifierTask(settings, seed=seed).batch([0])["rough"][0, 0]
        found = cv2.matchTemplate(shown, rough, cv2.TM_SQDIFF)
        y, x = np.unravel_index(found.argmin(), found.shape)
        assert np.array_equal(shown[y : y + 32, x : x + 32], rough) == there
    assert list(tmp_path.iterdir()) == [sheet]  # no run was begun
    with pytest.raises(UserError, match=r"sheet='.*pairs\.gif': must end in"):
        draw_pairs(tmp_path / "pairs.gif", overrides=SMALL)


def test_a_run_leaves_weights_that_open_as_a_simplifier_and_a_card(tmp_path: Path) -> None:
    from sketchprep.nn.simplifier import load_simplifier, simplify

    run = tmp_path / "run"
    result = train_simplifier(run, overrides=[*SMALL, "images=64", "save_every=32"], seed=3, device="cpu", quiet=True)
    assert result.exit_code == 0  # type: ignore[union-attr]
    net = load_simplifier(run / "simplifier.safetensors")
    drawn = simplify(net, np.full((1, 40, 48), 255, np.uint8))
    assert drawn.shape == (1, 40, 48)
    card = (run / "simplifier.md").read_text()
    assert "64 pictures of 32 × 32 px" in card
    assert "seed 3" in card
    assert "100% curves" in card
    assert "portraits" not in card.split("Budget")[0].split("Made of")[0].split("curves")[0]
    assert sorted(p.name for p in (run / "samples").iterdir()) == ["000000000.jpg", "000000064.jpg"]


def test_weights_of_another_task_are_refused(tmp_path: Path) -> None:
    from toy_tasks import QUICK, Invert

    from sketchprep.models.simplifier.export import export_weights
    from sketchprep.training.loop import fit

    fit(Invert(), tmp_path / "run", QUICK, quiet=True)
    with pytest.raises(UserError, match="is a run of invert"):
        export_weights(tmp_path / "run")


def test_weights_that_are_not_there_are_missed_before_the_teacher_draws(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"init_from='.*none': there is no such run; name a run's folder"):
        train_simplifier(tmp_path / "run", init_from=tmp_path / "none", cache=tmp_path / "cache", quiet=True)
    assert not list(tmp_path.iterdir())
