"""``python -m sketchprep.datasets.build``: what the batch scripts call."""

import sys

from sketchprep.datasets.build.slurm_task import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
