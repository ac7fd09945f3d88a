"""The compared methods from a photocopy or a rough drawing to lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sketchprep.errors import UserError

__all__ = ["METHODS", "Methods", "open_methods", "otsu"]

METHODS = {
    "raw": "the picture itself",
    "otsu": "Otsu's threshold",
    "fdog": "coherent lines (FDoG)",
    "clean": "classical clean-up",
    "ours": "simplifier",
    "ours-tidy": "simplifier, tidied",
    "recipe": "tidied, then completed: the recipe",
}
"""Name and title of each method; ``raw`` is thresholded like the soft results of the others."""
_RECIPE = {"low": 0.4, "high": 0.7}  # of ``tidied`` in pipelines/celebamask-hq.yaml


def otsu(image: np.ndarray) -> np.ndarray:
    """Black where a picture is at most as light as Otsu's threshold, white elsewhere; blank paper stays white.

    Parameters
    ----------
    image : ndarray, (H, W) uint8

    Returns
    -------
    ndarray, (H, W) uint8

    References
    ----------
    N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. SMC 1979.
    """
    if image.min() == image.max():
        return np.full_like(image, 0 if image[0, 0] < 128 else 255)
    return cv2.threshold(image, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]


class Methods:
    """Draws one picture by all methods; see `open_methods`."""

    def __init__(self, names: Sequence[str], network: Any = None) -> None:
        self.names = tuple(names)
        self._network = network

    def __call__(self, rough: np.ndarray, landmarks: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Soft or binary drawings of one picture.

        Parameters
        ----------
        rough : ndarray, (H, W) uint8
            Black ink on white.
        landmarks : ndarray, (68, 2) float, optional
            Given to those methods that can use them: ``clean``, ``ours-tidy`` and ``recipe``.

        Returns
        -------
        dict of str to ndarray, (H, W) uint8
            By method, in the order of `names`.
        """
        from sketchprep.ops.clean import clean
        from sketchprep.ops.lines import lines

        soft: np.ndarray | None = None
        drawn: dict[str, np.ndarray] = {}
        for name in self.names:
            if name == "raw":
                drawn[name] = rough
            elif name == "otsu":
                drawn[name] = otsu(rough)
            elif name == "fdog":
                drawn[name] = lines(rough)
            elif name == "clean":
                drawn[name] = clean(rough, landmarks=landmarks)
            else:
                soft = self._simplify(rough) if soft is None else soft
                drawn[name] = _finished(name, soft, landmarks)
        return drawn

    def _simplify(self, rough: np.ndarray) -> np.ndarray:
        from sketchprep.nn.simo_serra import sketch_any

        return sketch_any(self._network, rough[None])[0]


def _finished(name: str, soft: np.ndarray, landmarks: np.ndarray | None) -> np.ndarray:
    """The simplifier's soft drawing, or what further stages make of it."""
    from sketchprep.ops.missing_lines import complete
    from sketchprep.ops.stroke_cleanup import tidy

    if name == "ours":
        return soft
    if name == "ours-tidy":
        return tidy(soft, landmarks=landmarks)
    return complete(tidy(soft, **_RECIPE, landmarks=landmarks), landmarks=landmarks)


def open_methods(
    names: Sequence[str], *, weights: str | Path | None = None, device: str = "auto", offline: bool = False
) -> tuple[Methods, dict[str, str]]:
    """Load what the methods need.

    Parameters
    ----------
    names : sequence of str
        Keys of `METHODS`.
    weights : path, optional
        Of the simplifier; the bundled ones by default.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    offline : bool
        Never fetch weights.

    Returns
    -------
    methods : Methods
    network : dict
        Sha256 of the weights, device and dtype; empty where no method runs a network.

    Raises
    ------
    UserError
        For an unknown method, weights that are missing or do not fit, or an unknown device.
    """
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise UserError(f"methods: '{unknown[0]}' is unknown; known: {', '.join(METHODS)}")
    if not any(name.startswith("ours") or name == "recipe" for name in names):
        return Methods(names), {}
    import hashlib

    from sketchprep.core import runtime
    from sketchprep.sketching import stages

    params = {"weights": str(weights) if weights is not None else None}
    path = stages.weights_file("simplify", params, offline=offline)
    where = runtime.resolve_device(device)
    dtype = runtime.resolve_dtype("auto", where)
    network = stages.load_network("simplify", params, device=where, dtype=dtype)
    about = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "device": where, "dtype": dtype}
    return Methods(names, network), about
