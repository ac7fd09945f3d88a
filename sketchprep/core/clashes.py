"""Distributions that install the same module and overwrite each other's files."""

from __future__ import annotations

import importlib.metadata

__all__ = ["clashes", "installed_version"]

# Distributions that install the same modules; the first is the one this package depends on.
_SAME_MODULES = {
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "dlib": ("dlib-bin", "dlib"),
}


def clashes() -> list[str]:
    """One sentence for each module that two installed distributions both claim; imports nothing."""
    sentences = []
    for module, distributions in _SAME_MODULES.items():
        installed = [name for name in distributions if installed_version(name) is not None]
        if len(installed) > 1:
            sentences.append(
                f"{' and '.join(installed)} both install the module {module} and overwrite each other's files: run "
                f"`pip uninstall -y {' '.join(installed)}` and then `pip install {distributions[0]}`"
            )
    return sentences


def installed_version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
