"""Model families, one folder each; families never import one another.

A family's package says which files are its own and how to open them; its `api` holds what can be done with it in one
call, its `commands` what it adds to the command line.  Nothing of a family is imported before it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from sketchprep.errors import UserError

if TYPE_CHECKING:
    import click

__all__ = ["FAMILIES", "Commands", "Family", "commands_of", "evaluate", "family", "open_model", "synthesize", "train"]

FAMILIES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg))
"""Names of the families, which are those of their folders."""


class Family(Protocol):
    """What the package of a family holds."""

    NETWORK: str
    """What the header of its model files names as network."""
    FILE: str
    """Name of the model file in the folder of a run."""

    def load(self, path: str | Path, *, device: str = "cpu") -> Any:
        """Open a model file, or that of a run; raise `UserError` if it is missing, damaged or of another family."""


class Commands(Protocol):
    """What the module `commands` of a family holds."""

    COMMANDS: Sequence[click.Command]
    """Commands of the top level."""
    TRAIN: Sequence[click.Command]
    """Commands of the group `train`."""
    EVALUATE: Sequence[click.Command]
    """Commands of the group `evaluate`."""
    IMPORT: Sequence[click.Command]
    """Commands of the group `import-weights`, each named after whose files it reads."""


def family(name: str) -> Family:
    """Import the package of a family."""
    return cast(Family, importlib.import_module(f"{__name__}.{name}"))


def commands_of(name: str) -> Commands:
    """Import the commands of a family."""
    return cast(Commands, importlib.import_module(f"{__name__}.{name}.commands"))


def train(data: str | Path, run: str | Path, *, model: str = "deepfacedrawing", **options: Any) -> Any:
    """Train a model on pairs; the same call again resumes where an earlier one stopped.

    Parameters
    ----------
    data : path
        A built dataset.
    run : path
        Folder of the run.
    model : str
        A family that is trained on pairs: ``"deepfacedrawing"``, or ``"pix2pix"`` for its baselines.
    **options
        The family's own, as in `sketchprep.models.deepfacedrawing.training.train.train_deepfacedrawing` and
        `sketchprep.models.pix2pix.train.train_baseline`: ``preset``, ``overrides``, ``max_minutes``, ``seed``,
        ``device`` and others.

    Returns
    -------
    object
        What was done, with a ``text`` for people.

    Raises
    ------
    UserError
        For an unknown model, and as the family's own function.
    """
    return _api("train", model)(data, run, **options)


def synthesize(
    pictures: Sequence[str | Path], out: str | Path, *, model: str = "deepfacedrawing", **options: Any
) -> Any:
    """Draw a face for each sketch or photo, see `sketchprep.models.deepfacedrawing.api.synthesize`.

    Raises
    ------
    UserError
        For an unknown model, and as the family's own function.
    """
    return _api("synthesize", model)(pictures, out, **options)


def evaluate(data: str | Path, run: str | Path | None = None, *, model: str = "deepfacedrawing", **options: Any) -> Any:
    """Measure a trained model on held-out pairs, see `sketchprep.models.deepfacedrawing.api.evaluate`.

    Raises
    ------
    UserError
        For an unknown model, and as the family's own function.
    """
    return _api("evaluate", model)(data, run, **options)


def _api(name: str, model: str) -> Callable[..., Any]:
    """A family's function of that name."""
    able = [each for each in FAMILIES if importlib.util.find_spec(f"{__name__}.{each}.api")]
    if model in able:
        function = getattr(importlib.import_module(f"{__name__}.{model}.api"), name, None)
        if function is not None:
            return function
    raise UserError(f"--model {model}: has no function {name} in Python; models that have some: {', '.join(able)}")


def open_model(path: str | Path, *, device: str = "cpu") -> Any:
    """Open a trained model of any family for inference.

    Parameters
    ----------
    path : path
        A model file, or the folder of the run that wrote it.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Returns
    -------
    object
        The family's own class, for instance `sketchprep.models.deepfacedrawing.networks.model.FaceModel`.

    Raises
    ------
    UserError
        If no family knows the file, or it is missing or damaged.
    """
    path = Path(path)
    known = [family(name) for name in FAMILIES]
    if path.is_dir():
        found = [one for one in known if (path / one.FILE).exists()]
        searched = f"{path}: holds no model ({', '.join(one.FILE for one in known)}); name the run of a training"
    else:
        network = _network(path)
        found = [one for one in known if network == one.NETWORK]
        searched = f"{path}: its header names no network of ours; name the model file of a run"
    if not found:
        raise UserError(searched)
    return found[0].load(path, device=device)


def _network(path: Path) -> str | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return json.loads((file.metadata() or {})["sketchprep"])["network"]
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; name a run or its model file") from None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
