"""``python -m sketchprep``."""

from sketchprep.cli import main

main(prog_name="sketchprep")
