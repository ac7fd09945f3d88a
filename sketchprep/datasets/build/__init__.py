"""Building a dataset: plan, workers, executors, merge."""
