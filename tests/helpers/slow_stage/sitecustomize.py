"""Makes ``canny`` sleep in every Python process that has this folder on PYTHONPATH, workers of a build included."""

import functools
import time
from typing import Any

from sketchprep.ops import canny as module

plain = module.canny


@functools.wraps(plain)
def canny(*args: Any, **kwargs: Any) -> Any:
    time.sleep(60)
    return plain(*args, **kwargs)


module.canny = canny
