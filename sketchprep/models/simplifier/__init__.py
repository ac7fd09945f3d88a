"""The sketch simplifier: training data, training, evaluation, cleaning of files."""
