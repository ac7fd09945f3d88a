"""What every room may use: configuration, runtime, progress, weights, work folders."""
