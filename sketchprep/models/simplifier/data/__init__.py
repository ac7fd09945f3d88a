"""Pairs of rough and clean drawings for the sketch simplifier, generated on the fly."""

from sketchprep.models.simplifier.data.portraits import Portrait, Prepared, prepare
from sketchprep.models.simplifier.data.sampler import Mix, PairSampler

__all__ = ["Mix", "PairSampler", "Portrait", "Prepared", "prepare"]
