"""Small TFLite networks run by OpenCV, which is a dependency already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sketchprep.errors import UserError

__all__ = ["TFLiteNetwork"]


class TFLiteNetwork:
    """One network; picklable, it opens its file in each process on first use.

    Parameters
    ----------
    path : path
        The ``.tflite`` file.
    outputs : sequence of str
        Names of the tensors that `run` returns.
    weight : str
        Name in the manifest, for the message where the file cannot be read.
    """

    def __init__(self, path: str | Path, outputs: tuple[str, ...], *, weight: str) -> None:
        self.path, self.outputs, self.weight = str(path), outputs, weight
        self._net: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_net": None}

    def load(self) -> None:
        """Open the file now rather than on first use."""
        if self._net is None:
            self._net = self._open()

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        """Run on one picture: float32, shape (side, side, 3), RGB, scaled as the network wants it."""
        self.load()
        self._net.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32))
        return [np.asarray(output) for output in self._net.forward(list(self.outputs))]

    def _open(self) -> Any:
        # The newer engine of OpenCV 5 gives only one of several outputs.
        engine = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
        try:
            return cv2.dnn.readNetFromTFLite(self.path, *(() if engine is None else (engine,)))
        except cv2.error as error:
            raise UserError(
                f"the network {self.path} cannot be read ({error.err or error}); "
                f"get it again with `sketchprep fetch {self.weight}`"
            ) from None
