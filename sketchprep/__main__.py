"""``python -m sketchprep``."""

from sketchprep.cli.main import main

main(prog_name="sketchprep")
