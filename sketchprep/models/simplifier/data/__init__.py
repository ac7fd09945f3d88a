"""Pairs of rough and clean drawings for the sketch simplifier, generated on the fly."""
