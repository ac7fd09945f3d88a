"""Argument checks shared by the ops: declared parameters, pictures and landmarks; a ValueError names what is wrong."""

from __future__ import annotations

import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

import numpy as np

Given = ParamSpec("Given")
Result = TypeVar("Result")

_NUMBERS = {int: (Integral, "a whole number"), float: (Real, "a number")}


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number, in the annotation of a parameter: ``Annotated[float, Range(0, 1)]``.

    Attributes
    ----------
    low, high : float
    above : bool
        Whether `low` itself is excluded.
    at_most : str
        Another parameter of the same op that it may not exceed.
    """

    low: float
    high: float = math.inf
    above: bool = False
    at_most: str = ""

    def words(self) -> str:
        """``"at least 0 and at most 1"``."""
        floor = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        return floor if self.high == math.inf else f"{floor} and at most {self.high:g}"

    def holds(self, value: Any) -> bool:
        """Whether a number is finite and lies within the bounds."""
        inside = self.low < value if self.above else self.low <= value
        return bool(inside and value <= self.high and value < math.inf)


class Choice:
    """The words that may be given, in the annotation of a parameter: ``Annotated[str, Choice("gegl", "classic")]``."""

    def __init__(self, *words: str) -> None:
        self.among = words


@dataclass(frozen=True, slots=True)
class Parameter:
    """What may be given for a keyword-only parameter, as its annotation declares it."""

    kind: type | None
    optional: bool = False
    bounds: Range | None = None
    choices: tuple[str, ...] = ()

    def complaint(self, value: Any) -> str | None:
        """What is wrong with a value, ``"must be at least 0, not -5"``; None if nothing is."""
        if self.kind is None or (value is None and self.optional):
            return None
        if self.choices:
            right, words = value in self.choices, f"one of {', '.join(self.choices)}"
        elif self.kind in _NUMBERS:
            number, words = _NUMBERS[self.kind]
            right = isinstance(value, number) and not isinstance(value, bool)
            if right and self.bounds is not None:
                right, words = self.bounds.holds(value), self.bounds.words()
        else:
            right, words = isinstance(value, self.kind), "true or false" if self.kind is bool else "text"
        return None if right else f"must be {words}, not {value!r}"


@functools.cache
def declared(function: Callable[..., Any]) -> dict[str, Parameter]:
    """The keyword-only parameters of an op; those without an annotation are taken for what their default is."""
    hints = typing.get_type_hints(function, include_extras=True)
    return {
        p.name: _parameter(hints.get(p.name, type(p.default)))
        for p in inspect.signature(function).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _parameter(annotation: Any) -> Parameter:
    extras = getattr(annotation, "__metadata__", ())
    annotation = annotation.__origin__ if extras else annotation
    bounds = next((extra for extra in extras if isinstance(extra, Range)), None)
    choices = next((extra.among for extra in extras if isinstance(extra, Choice)), ())
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    plain = [kind for kind in kinds if kind in (bool, int, float, str)]
    return Parameter(plain[0] if len(plain) == 1 else None, type(None) in kinds, bounds, choices)


def misfit(function: Callable[..., Any], values: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first of an op's parameters whose value is not what it declares, and the complaint; None if all are."""
    known = declared(function)
    for name, value in values.items():
        if name in known and (complaint := known[name].complaint(value)) is not None:
            return name, complaint
    defaults = {name: p.default for name, p in inspect.signature(function).parameters.items()}
    whole = {**defaults, **values}
    for name, parameter in known.items():
        if parameter.bounds is not None and (other := parameter.bounds.at_most) and whole[name] > whole[other]:
            return name, f"must not exceed {other}, but {name} is {whole[name]} and {other} is {whole[other]}"
    return None


def checked(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Make an op refuse keyword arguments that are not what its annotations declare, by a ValueError."""

    @functools.wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        if (wrong := misfit(function, kwargs)) is not None:
            raise ValueError(" ".join(wrong))
        return function(*args, **kwargs)

    return call


def check_image(image: np.ndarray) -> None:
    """Raise ValueError unless ``image`` is a non-empty uint8 picture, (H, W, 3) RGB or (H, W) grey."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise ValueError(f"image must be a uint8 array, not {getattr(image, 'dtype', type(image).__name__)}")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or image.size == 0:
        raise ValueError(f"image must be (H, W, 3) RGB or (H, W) grey and not empty, not of shape {image.shape}")


def check_sketch(image: np.ndarray) -> None:
    """Raise ValueError unless ``image`` is a non-empty (H, W) uint8 sketch."""
    check_image(image)
    if image.ndim != 2:
        raise ValueError(f"image must be a grey (H, W) sketch, not of shape {image.shape}")


def check_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Return ``landmarks`` as (68, 2) float64, or raise ValueError unless they are 68 finite points."""
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"landmarks must be 68 finite (x, y) points, not an array of shape {points.shape}")
    return points
