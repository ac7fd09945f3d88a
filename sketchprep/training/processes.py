"""The processes of a run: how many there are, who started them, and that none leaves before the others."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchprep.errors import UserError

if TYPE_CHECKING:
    from lightning.fabric.plugins.environments import ClusterEnvironment

__all__ = ["Started", "first_process", "leave_together", "started"]


@dataclass(frozen=True)
class Started:
    """How the processes of a run were started.

    Attributes
    ----------
    processes, nodes : int
    by : str
        ``"torchrun"``, ``"srun"``, or empty for a process of its own.
    """

    processes: int = 1
    nodes: int = 1
    by: str = ""

    @property
    def on_each_node(self) -> int:
        """Processes of a node."""
        return self.processes // self.nodes

    def environment(self) -> ClusterEnvironment:
        """What tells Fabric each rank; chosen here, since Fabric would take any Slurm allocation for srun's work."""
        from lightning.fabric.plugins import environments

        if self.by == "torchrun":
            return environments.TorchElasticEnvironment()
        if self.by == "srun":
            # Fabric asks for it, but srun sets it only where the option was given.
            os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(self.on_each_node))
            return environments.SLURMEnvironment(auto_requeue=False)
        return environments.LightningEnvironment()


def started() -> Started:
    """Find out who started this process.  One that runs by itself inside a Slurm allocation is alone.

    Raises
    ------
    UserError
        If nodes have different numbers of processes.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        found = Started(_number("WORLD_SIZE"), _number("GROUP_WORLD_SIZE"), "torchrun")
    elif _number("SLURM_STEP_NUM_TASKS") > 1:
        found = Started(_number("SLURM_STEP_NUM_TASKS"), _number("SLURM_STEP_NUM_NODES"), "srun")
    else:
        return Started()
    if found.processes % found.nodes:
        raise UserError(
            f"{found.by} started {found.processes} processes on {found.nodes} nodes; start the same number on each, "
            "with --ntasks-per-node or --nproc-per-node"
        )
    return found


def first_process() -> bool:
    """Whether this is the only process of a run, or that of those started by torchrun or srun which writes."""
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


def leave_together() -> None:
    """Wait for the other processes of the run, then end their group.

    torchrun and srun end all as soon as one leaves with an error code; and one that still has a word to say to another
    that is gone is aborted.
    """
    if "torch" not in sys.modules:
        return
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else 1
