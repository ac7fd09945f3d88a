"""A build in two passes: what needs no network on one kind of machine, the networks and what reads them on another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError
from sketchprep.sketching import stages

if TYPE_CHECKING:
    from sketchprep.sketching.recipe import Recipe, Stage

__all__ = ["ALL", "CPU", "NAMES", "NETWORK", "graph", "joined", "kept", "known", "of_pass"]

ALL, CPU, NETWORK = NAMES = ("all", "cpu", "network")
# Key of recipe.yaml's `depends_on` for the first pass, where its machines are of another kind than the second's.
KEY = "cpu_pass"


def known(name: str | None, recipe: Recipe) -> str:
    """Check the name of a pass; a recipe without networks has only one.

    Raises
    ------
    UserError
        For an unknown name.
    """
    if name is not None and name not in NAMES:
        raise UserError(f"--pass {name}: unknown; known: {', '.join(NAMES)}")
    return name or ALL if any(stages.OPS[s.op].asset for s in recipe.graph.values()) else ALL


def graph(recipe: Recipe, part: str) -> dict[str, Stage]:
    """The stages of a pass, each after its input; the second has all that come, directly or not, after a network."""
    late: set[str] = set()
    for name, stage in recipe.graph.items():
        if stages.OPS[stage.op].asset or stage.input in late:
            late.add(name)
    if part == ALL:
        return recipe.graph
    return {name: stage for name, stage in recipe.graph.items() if (name in late) == (part == NETWORK)}


def kept(recipe: Recipe) -> list[str]:
    """What the second pass reads of the first one's: ``photo``, or stages."""
    late = graph(recipe, NETWORK)
    return sorted({stage.input for stage in late.values()} - late.keys())


def joined(cpu: dict[str, Any] | None, network: dict[str, Any] | None) -> dict[str, Any]:
    """What the bytes of a dataset depend on: as for one pass, unless the first ran on another kind of machine.

    Parameters
    ----------
    cpu, network : dict or None
        Of each pass, see `environment.resolve`; None if it has not begun yet.
    """
    if network is None:
        return {KEY: cpu}
    return network if cpu is None or cpu == _first_half(network) else {**network, KEY: cpu}


def of_pass(depends_on: dict[str, Any], part: str) -> dict[str, Any] | None:
    """The share of one pass in what `joined` gave; None if that pass has not begun yet."""
    if part == ALL:
        return depends_on
    network = {key: value for key, value in depends_on.items() if key != KEY}
    if part == NETWORK:
        return network or None
    return depends_on.get(KEY) or (_first_half(network) if network else None)


def planned(stored: dict[str, Any], here: dict[str, Any], part: str) -> dict[str, Any]:
    """What a folder's bytes depend on once this machine has begun a pass there.

    Parameters
    ----------
    stored : dict
        What its ``recipe.yaml`` says; empty for a new folder.
    here : dict
        Of this machine, for that pass.

    Raises
    ------
    UserError
        If the second pass is asked for first, or both at once where two kinds of machine share the work.
    """
    if part == CPU:
        return joined(here, of_pass(stored, NETWORK))
    if part == NETWORK and not stored:
        raise UserError("--pass network: nothing was begun in this folder; run the same command with --pass cpu first")
    found = joined(of_pass(stored, CPU), here) if part == NETWORK else joined(stored.get(KEY), here)
    if part == ALL:
        refuse_both_at_once(found)
    return found


def refuse_both_at_once(depends_on: dict[str, Any]) -> None:
    """Refuse one pass for everything where the folder was begun on two kinds of machine."""
    if KEY in depends_on:
        raise UserError(
            "its first pass belongs to another kind of machine (depends_on.cpu_pass in recipe.yaml); "
            "add --pass cpu or --pass network, or give Slurm a network block"
        )


def completes(before: Any, now: dict[str, Any]) -> bool:
    """Whether `now` only adds the second pass to a folder in which the first had begun alone."""
    return isinstance(before, dict) and set(before) == {KEY} and before != now and of_pass(now, CPU) == before[KEY]


def _first_half(network: dict[str, Any]) -> dict[str, Any]:
    """What the first pass depends on where the second's machine does it too: no device, no networks."""
    from sketchprep.datasets.build.fingerprint import LANDMARKS

    return {
        "device": "cpu",
        "cpu": network["cpu"],
        "threads": network["threads"],
        "packages": {name: version for name, version in network["packages"].items() if name != "torch"},
        "weights": {name: digest for name, digest in network["weights"].items() if name == LANDMARKS},
    }
