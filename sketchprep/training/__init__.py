"""The training engine shared by all model families: loop, checkpoints, data loading, logs."""
