"""Evaluation of sketch simplification against classical baselines."""
