"""Files that travel with the package: recipes, the asset manifest, the bundled portraits."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def resource(name: str) -> Path:
    """Path of a shipped file or folder.

    In a wheel ``pipelines/`` and ``data_manifest.yaml`` lie inside the package; in a checkout they lie beside it.

    Parameters
    ----------
    name : str
        For instance ``"pipelines"`` or ``"data/portraits"``.

    Raises
    ------
    FileNotFoundError
        If the installation lacks it.
    """
    for root in (PACKAGE, PACKAGE.parent):
        path = root / name
        if path.exists():
            return path
    raise FileNotFoundError(f"{name} is missing from the installation in {PACKAGE}")
