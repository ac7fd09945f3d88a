"""The version of the package: the one place that says it, read by the build backend too."""

VERSION = "0.1.0"
