"""Model families, one folder each; families never import one another.

A family's package says which files are its own and how to open them; its `commands` hold what it adds to the command
line.  Nothing of a family is imported before it is asked for.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from sketchprep.errors import UserError

if TYPE_CHECKING:
    import click

__all__ = ["FAMILIES", "Commands", "Family", "commands_of", "family", "open_model"]

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
