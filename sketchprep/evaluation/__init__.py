"""Evaluation of any model: line, paired and distribution metrics, robustness, reports."""
