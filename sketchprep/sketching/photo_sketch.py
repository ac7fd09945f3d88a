"""A photo turned into the sketch that a recipe would make of it, in the frame of a face model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sketchprep.errors import SampleError, UserError
from sketchprep.ops.resize import resize
from sketchprep.sketching import stages
from sketchprep.sketching.recipe import Recipe, load

if TYPE_CHECKING:
    import numpy as np

    from sketchprep.sketching.landmarks import Landmarker

__all__ = ["RECIPE", "PhotoSketcher", "recipe_of"]

RECIPE = "celebamask-hq"


def recipe_of(facts: Mapping[str, Any]) -> str | Mapping[str, Any]:
    """How the dataset of a bank was made, by the bank's facts, if photos can be sketched so; else the default."""
    found = facts.get("recipe")
    if not isinstance(found, dict):
        return RECIPE
    try:
        PhotoSketcher(64, recipe=found)
    except UserError:  # for instance ready-made pairs, or a recipe of a later version
        return RECIPE
    return found


class PhotoSketcher:
    """Finds the face, brings it into the FFHQ frame, runs a recipe's stages, shrinks the result.

    Networks and the landmarks' predictor are loaded when the first photo needs them.

    Parameters
    ----------
    size : int
        Height and width of the sketch in pixels.
    recipe : str or mapping
        Name or file of a recipe, or its values; its stages run at its own size.
    device : str
        For stages that are networks: ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    offline : bool
        Never fetch missing weights.

    Raises
    ------
    UserError
        If the recipe is unknown, draws no sketch or has another frame.
    """

    def __init__(
        self, size: int, *, recipe: str | Mapping[str, Any] = RECIPE, device: str = "auto", offline: bool = False
    ) -> None:
        self.size, self.device, self.offline = size, device, offline
        self.recipe: Recipe = load(recipe)
        if self.recipe.sketch is None or self.recipe.align.template != "ffhq":
            raise UserError(
                f"--recipe {self.recipe.name}: photos need a recipe with a sketch stage and align.template=ffhq; "
                f"take {RECIPE}"
            )
        graph = {name: stage.input for name, stage in self.recipe.stages.items()}
        self._order = stages.order(graph, [self.recipe.sketch])

    @cached_property
    def landmarker(self) -> Landmarker:
        """Finds faces and their landmarks."""
        from sketchprep.core import weights
        from sketchprep.sketching.landmarks import Landmarker

        return Landmarker(weights.path("dlib-landmarks-68", offline=self.offline))

    @cached_property
    def _networks(self) -> dict[str, Any]:
        from sketchprep.core import runtime

        needed = {
            name: self.recipe.stages[name] for name in self._order if stages.OPS[self.recipe.stages[name].op].asset
        }
        where = runtime.resolve_device(self.device)
        dtype = runtime.resolve_dtype("auto", where)
        return {
            name: stages.load_network(stage.op, stage.params, device=where, dtype=dtype, offline=self.offline)
            for name, stage in needed.items()
        }

    def landmarks(self, image: np.ndarray) -> np.ndarray | None:
        """The 68 landmarks of the largest face, (x, y) in pixels, shape (68, 2); None if no face is found."""
        faces = self.landmarker.faces(image)
        return self.landmarker.points(image, faces[0]) if faces else None

    def sketch(self, photo: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw a photo.

        Parameters
        ----------
        photo : ndarray of uint8, shape (H, W, 3)
        landmarks : ndarray, shape (68, 2) or (5, 2)
            (x, y) in pixels; five points in the order of `align.five_points`.

        Returns
        -------
        sketch : ndarray of uint8, shape (size, size)
            Black on white, in the frame.
        matrix : ndarray of float64, shape (2, 3)
            Photo's pixels to the frame's.

        Raises
        ------
        SampleError
            If the points span no face.
        """
        from sketchprep.ops.align import align, ffhq_matrix
        from sketchprep.ops.warp import transform_points

        framed = align(photo, landmarks, size=self.recipe.size)
        points = transform_points(framed.matrix, landmarks) if len(landmarks) == 68 else None
        results = {"photo": framed.image}
        for name in self._order:
            stage = self.recipe.stages[name]
            if points is None and stages.OPS[stage.op].landmarks == "required":
                raise SampleError("landmarks", f"{stage.op} needs all landmarks; leave --align out")
            network = self._networks[name] if stages.OPS[stage.op].asset else None
            results[name] = stages.run(stage.op, [results[stage.input]], [points], stage.params, network)[0]
        assert self.recipe.sketch is not None
        sketch = resize(results[self.recipe.sketch], (self.size, self.size))
        return sketch, ffhq_matrix(landmarks, self.size)
