"""Sketcher: the landmark predictor and the networks of a recipe, loaded once and run on photos."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from sketchprep.errors import SampleError, UserError
from sketchprep.sketching import stages
from sketchprep.sketching.recipe import Recipe, Stage, load

if TYPE_CHECKING:
    import numpy as np

    from sketchprep.sketching.landmarks import Landmarker
    from sketchprep.sketching.mediapipe import MediaPipeLandmarker

__all__ = ["RECIPE", "Sketcher", "Timer", "face_recipe", "face_sketcher"]

RECIPE = "celebamask-hq"
"""The recipe by which photos are drawn where nothing else is said."""

Timer = Callable[[str], AbstractContextManager[Any]]
"""``timer(stage)`` is entered while a stage runs; `sketchprep.datasets.reports.Meter.time` is one."""


class Sketcher:
    """Run a recipe's stages on photos; landmark predictor and networks are loaded on first use, and only once.

    Parameters
    ----------
    recipe : Recipe, str or mapping
        The recipe, its name or file, or its values.
    graph : mapping of str to Stage, optional
        The stages that run, each after its input.  Default: all that the recipe stores need.
    device : str
        For networks: ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    dtype : {"auto", "float32", "bfloat16"}
        For networks; auto is bfloat16 where the device has it in hardware.
    offline : bool
        Never fetch missing weights.

    Raises
    ------
    UserError
        For an unknown recipe; on first use, for missing weights or an unknown device.
    """

    def __init__(
        self,
        recipe: Recipe | str | Mapping[str, Any] = RECIPE,
        *,
        graph: Mapping[str, Stage] | None = None,
        device: str = "auto",
        dtype: str = "auto",
        offline: bool = False,
    ) -> None:
        _warn_of_clashes()
        self.recipe = recipe if isinstance(recipe, Recipe) else load(recipe)
        self.graph = self.recipe.graph if graph is None else dict(graph)
        self.device, self.dtype, self.offline = device, dtype, offline

    @cached_property
    def landmarker(self) -> Landmarker | MediaPipeLandmarker:
        """Finds faces and their 68 landmarks, by what the recipe says."""
        from sketchprep.sketching.landmarks import open_landmarker

        return self._mediapipe if self.recipe.landmarks == "mediapipe" else open_landmarker(offline=self.offline)

    @property
    def face_checker(self) -> MediaPipeLandmarker | None:
        """Gives evidence that there is a face; None where the recipe asks for none."""
        return None if self.recipe.select.min_face_score is None else self._mediapipe

    @cached_property
    def _mediapipe(self) -> MediaPipeLandmarker:
        from sketchprep.sketching.mediapipe import open_mediapipe

        return open_mediapipe(offline=self.offline)

    @cached_property
    def networks(self) -> dict[str, Any]:
        """The loaded network of each stage that has one; torch is imported only if there is any."""
        return {name: self._network(stage) for name, stage in self.graph.items() if stages.OPS[stage.op].asset}

    @cached_property
    def _simplifier(self) -> Any:
        return self._network(Stage(op="simplify"))

    def _network(self, stage: Stage) -> Any:
        return stages.load_network(stage.op, stage.params, device=self.device, dtype=self.dtype, offline=self.offline)

    def load(self, *, landmarks: bool = True) -> None:
        """Read all weights now rather than on first use."""
        if landmarks:
            self.landmarker.load()
            if self.face_checker is not None:
                self.face_checker.load()
        _ = self.networks

    def landmarks(self, image: np.ndarray) -> np.ndarray | None:
        """The 68 landmarks of the largest face, (x, y) in pixels, shape (68, 2); None if no face is found."""
        return self.landmarker.largest(image)

    def run(
        self,
        pictures: Sequence[Mapping[str, np.ndarray]],
        landmarks: Sequence[np.ndarray | None],
        *,
        timer: Timer = nullcontext,
    ) -> list[dict[str, np.ndarray]]:
        """Run all stages on pictures of one size: one batch for each network.

        Parameters
        ----------
        pictures : sequence of mapping of str to ndarray of uint8
            For each picture ``"photo"``, (H, W, 3), and the results of those stages that are not in the graph but
            read by it.
        landmarks : sequence of ndarray, shape (68, 2), or None
            (x, y) in pixels, one for each picture.
        timer : callable
            See `Timer`.

        Returns
        -------
        list of dict of str to ndarray
            The given mappings with the result of each stage, (H, W) uint8, black ink on white.

        Raises
        ------
        SampleError
            ``"no-face"`` if a stage needs landmarks that a picture has not.
        """
        results = [dict(images) for images in pictures]
        for name, stage in self.graph.items():
            if stages.OPS[stage.op].landmarks == "required" and any(points is None for points in landmarks):
                raise SampleError("no-face", f"no face was found, and {stage.op} needs one")
            inputs = [images[stage.input] for images in results]
            with timer(name):
                drawn = stages.run(
                    stage.op, inputs, landmarks, stage.params, self.networks.get(name), self._evidence(results)
                )
            for images, sketch in zip(results, drawn, strict=True):
                images[name] = sketch
        return results

    def _evidence(self, pictures: Sequence[Mapping[str, np.ndarray]]) -> list[np.ndarray] | None:
        """The photos, for ops that draw only what these show; None where the landmarks are believed."""
        if self.recipe.select.min_face_score is None or any("photo" not in images for images in pictures):
            return None
        return [images["photo"] for images in pictures]

    def sketch_face(self, photo: np.ndarray, landmarks: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Align a photo to the FFHQ frame, draw it at the recipe's size and shrink the drawing; see `face_sketcher`.

        Parameters
        ----------
        photo : ndarray of uint8, shape (H, W, 3)
        landmarks : ndarray, shape (68, 2) or (5, 2)
            (x, y) in pixels; five points in the order of `sketchprep.ops.align.five_points`.
        size : int
            Height and width of the sketch in pixels.

        Returns
        -------
        sketch : ndarray of uint8, shape (size, size)
            Black on white, in the frame.
        matrix : ndarray of float64, shape (2, 3)
            Photo pixels to frame pixels.

        Raises
        ------
        SampleError
            If the points span no face, or a stage needs all 68.
        """
        from sketchprep.ops.align import align, ffhq_matrix
        from sketchprep.ops.resize import resize
        from sketchprep.ops.warp import transform_points

        assert self.recipe.sketch is not None
        aligned = align(photo, landmarks, size=self.recipe.size)
        points = transform_points(aligned.matrix, landmarks) if len(landmarks) == 68 else None
        needing = [s.op for s in self.graph.values() if stages.OPS[s.op].landmarks == "required"]
        if points is None and needing:
            raise SampleError("landmarks", f"{needing[0]} needs all landmarks; leave --align out")
        (images,) = self.run([{"photo": aligned.image}], [points])
        return resize(images[self.recipe.sketch], (size, size)), ffhq_matrix(landmarks, size)

    def clean_drawing(self, page: np.ndarray) -> np.ndarray:
        """Simplify a rough drawing to decided strokes: the bundled simplifier, then `sketchprep.ops.stroke_cleanup`.

        Parameters
        ----------
        page : ndarray of uint8, shape (H, W)
            Black on white, at least 16 px on each side.

        Returns
        -------
        ndarray of uint8, shape (H, W)
        """
        from sketchprep.ops.stroke_cleanup import tidy

        return tidy(stages.run("simplify", [page], [None], {}, self._simplifier)[0])


def face_recipe(facts: Mapping[str, Any]) -> Recipe:
    """The recipe that made the sketches of a bank, by the bank's facts; the default where it cannot draw photos."""
    values = facts.get("recipe")
    if isinstance(values, dict):
        try:
            return _drawing_faces(load(values))
        except UserError:  # for instance ready-made pairs, or a recipe of a later version
            pass
    return load(RECIPE)


def face_sketcher(
    recipe: Recipe | str | Mapping[str, Any] = RECIPE, *, device: str = "auto", offline: bool = False
) -> Sketcher:
    """A `Sketcher` for photos that a face model shall draw: it runs what the recipe's final sketch needs, no more.

    Raises
    ------
    UserError
        If the recipe is unknown, draws no sketch or has another frame than FFHQ's.
    """
    recipe = _drawing_faces(recipe if isinstance(recipe, Recipe) else load(recipe))
    assert recipe.sketch is not None
    return Sketcher(recipe, graph=recipe.needed([recipe.sketch]), device=device, offline=offline)


def _drawing_faces(recipe: Recipe) -> Recipe:
    if recipe.sketch is None or recipe.align.template != "ffhq":
        raise UserError(
            f"--recipe {recipe.name}: photos need a recipe with a sketch stage and align.template=ffhq; take {RECIPE}"
        )
    return recipe


@cache
def _warn_of_clashes() -> None:
    """Say once a process that another distribution has overwritten OpenCV's or dlib's files."""
    from sketchprep.core.doctor import clashes

    for sentence in clashes():
        warnings.warn(sentence, stacklevel=4)
