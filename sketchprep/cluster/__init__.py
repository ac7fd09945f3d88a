"""Builds on many machines: Slurm job arrays, and the clusters that joblib knows.  Files stay the only shared state."""
