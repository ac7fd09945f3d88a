"""Face photos in, paired photo/sketch datasets out; models that draw faces from sketches.

The library comes first; the command line is a thin skin over it.  Names load what they need when they are first used,
so that ``import sketchprep`` costs nothing.

>>> import sketchprep
>>> sketchprep.build("portraits", out="demo/portraits")  # doctest: +SKIP
>>> pairs = sketchprep.open_pairs("demo/portraits")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sketchprep.core import threads as _threads  # noqa: F401  its hook must be there before the first fork
from sketchprep.core.version import VERSION as __version__

if TYPE_CHECKING:
    from sketchprep.datasets.build.build import build as build
    from sketchprep.datasets.components.crop import crop_components as crop_components
    from sketchprep.datasets.export.export import export as export
    from sketchprep.datasets.reader import open_pairs as open_pairs
    from sketchprep.errors import SampleError as SampleError
    from sketchprep.errors import UserError as UserError
    from sketchprep.models import evaluate as evaluate
    from sketchprep.models import open_model as open_model
    from sketchprep.models import synthesize as synthesize
    from sketchprep.models import train as train
    from sketchprep.sketching.alignment import align as align
    from sketchprep.sketching.single_stage import sketch as sketch

# No name here may also be a module's: importing the module would put it in the function's place.
_HOMES = {
    "align": "sketchprep.sketching.alignment",
    "build": "sketchprep.datasets.build.build",
    "crop_components": "sketchprep.datasets.components.crop",
    "evaluate": "sketchprep.models",
    "export": "sketchprep.datasets.export.export",
    "open_model": "sketchprep.models",
    "open_pairs": "sketchprep.datasets.reader",
    "sketch": "sketchprep.sketching.single_stage",
    "synthesize": "sketchprep.models",
    "train": "sketchprep.models",
    "SampleError": "sketchprep.errors",
    "UserError": "sketchprep.errors",
}

__all__ = [
    "SampleError",
    "UserError",
    "__version__",
    "align",
    "build",
    "crop_components",
    "evaluate",
    "export",
    "open_model",
    "open_pairs",
    "sketch",
    "synthesize",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'sketchprep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
