"""Pairs of rough and clean drawings for the sketch simplifier, generated on the fly."""

from sketchprep.train.pairs.cache import Portrait, Prepared, prepare
from sketchprep.train.pairs.sampler import Mix, PairSampler

__all__ = ["Mix", "PairSampler", "Portrait", "Prepared", "prepare"]
