"""A run keeps account of what went into its weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from toy_tasks import QUICK, Invert

from sketchprep.training.cost import of_run
from sketchprep.training.logs import hours
from sketchprep.training.loop import fit
from sketchprep.training.run_dir import account


def test_what_a_run_was_initialised_from_counts_even_when_it_is_gone(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    fit(Invert(), first, QUICK, quiet=True)
    fit(Invert(), second, QUICK, init_from=first, quiet=True)
    assert (account(first).images_before, account(first).hours_before) == (0, 0.0)
    one = account(first)
    assert account(second).hours_before == pytest.approx(one.hours)
    shutil.rmtree(first)
    fit(Invert(), third, QUICK, init_from=second / "checkpoints/000000096", quiet=True)
    two = account(second)
    assert account(third).images_before == 96 + 96
    assert account(third).hours_before == pytest.approx(one.hours + two.hours)  # type: ignore[operator]
    # Resumed, it still knows.
    shutil.rmtree(third / "checkpoints/000000096")
    fit(Invert(), third, QUICK, init_from=second / "checkpoints/000000096", quiet=True)
    trained = of_run(third, {"images": 96}, 1)
    assert (trained.images, trained.first_hours) == (3 * 96, 0.0)
    spent = account(third)
    assert trained.hours == pytest.approx(spent.hours + spent.hours_before)  # type: ignore[operator]
    assert trained.machine == "cpu, 1 thread"


def test_hours_are_of_the_steps_that_led_to_the_weights(tmp_path: Path) -> None:
    stats = tmp_path / "stats.jsonl"
    stats.write_text("".join(json.dumps({"images": n, "hours": n / 1000}) + "\n" for n in (1000, 2000, 3000)))
    assert hours(stats, 2000) == pytest.approx(2)
    assert hours(stats) == pytest.approx(3)
    stats.write_text('{"images": 3600, "hours": 1.0}\n{"images": 72')
    assert hours(stats) == pytest.approx(1)
    stats.write_text("nothing\n")
    assert hours(stats) is None
    assert hours(tmp_path / "none") is None
    assert account(tmp_path / "none").hours is None
