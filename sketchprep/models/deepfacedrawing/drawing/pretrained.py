"""The bundled face model, and the choice of a model where a command names none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from sketchprep.errors import UserError

__all__ = ["BANK", "DEMO", "LICENCE", "MODEL", "RUN", "bundled", "choose"]

MODEL, BANK = "face", "face-bank"
RUN, DEMO = "runs/deepfacedrawing", "demo/model"
LICENCE = "trained on CelebA-HQ: for non-commercial research only"
CARD = "deepfacedrawing.md"


@cache
def bundled() -> Path | None:
    """Folder of the bundled model, which any command takes as a run; None where the package has none.

    Raises
    ------
    UserError
        If its files are missing or are not those of the manifest.
    """
    from sketchprep.core import weights
    from sketchprep.core.weights_manifest import manifest

    names = [name for name in (MODEL, BANK) if name in manifest().weights]
    for name in names:
        found = weights.state(name, verify=True)
        if found.state != "ready":
            raise UserError(
                f"the bundled model: {found.path} is {found.state}: {found.remedy}, or name a run with --run"
            )
    return weights.path(MODEL).parent if names else None


def choose(run: Path | None, model: Path | None, *, say: Callable[[str], None] | None = None) -> Path:
    """The run or model's file that a command draws with: the one named, else the bundled one.

    Where the package has no model, it is the run of the current folder: ``runs/deepfacedrawing``, else ``demo/model``.

    Parameters
    ----------
    run, model : path, optional
        What ``--run`` and ``--model`` name.
    say : callable, optional
        Gets one line where nothing was named: what is taken, and its licence.

    Raises
    ------
    UserError
        If both are named, or the bundled model is damaged.
    """
    if run is not None and model is not None:
        raise UserError("--run and --model: name only one of them")
    named = model or run
    if named is not None:
        return named
    here = next((path for path in (RUN, DEMO) if Path(path).exists()), None)
    shipped = bundled()
    if shipped is None:
        if say is not None and here is not None:
            say(f"the model of {here} draws; --run takes another")
        return Path(here or RUN)
    if say is not None:
        other = f"--run {here} takes yours" if here else "--run takes another"
        say(f"the bundled model draws ({other}); it was {LICENCE}; see {shipped / CARD}")
    return shipped
