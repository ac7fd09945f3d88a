"""Makes docs/images/architecture.svg from the imports of the code: rooms by layer, and who imports how much of whom.

python docs/images/architecture.py [-o docs/images/architecture.svg]
"""

from __future__ import annotations

import argparse
import tomllib
from collections import Counter
from pathlib import Path

import grimp
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
WORDS = {
    "cli": "parse, call one function",
    "serve": "the drawing page",
    "models": "one folder a family",
    "evaluation": "measures for any family",
    "training": "the engine: loop, checkpoints",
    "datasets": "sources, builds, exports",
    "sketching": "one photo to its sketches",
    "cluster": "Slurm, Dask, Ray",
    "nn": "shared networks and losses",
    "core": "configuration, weights",
    "io": "files, pictures, object stores",
    "ops": "arrays in, arrays out",
}


def rooms() -> list[str]:
    """Names of the rooms from the top layer down, as the linter's contract has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract.get("containers") == ["sketchprep"])
    return [room.strip() for layer in layers for room in layer.split("|") if room.strip() in WORDS]


def imports() -> Counter[tuple[str, str]]:
    """Number of modules' imports between rooms: (importer, imported)."""
    graph = grimp.build_graph("sketchprep", exclude_type_checking_imports=True)
    room = {module: module.split(".")[1] for module in graph.modules if "." in module}
    pairs = ((importer, other) for importer in room for other in graph.find_modules_directly_imported_by(importer))
    return Counter((room[a], room[b]) for a, b in pairs if b in room)


def sizes(room: str) -> tuple[int, int]:
    """Modules and lines of a room."""
    files = list((ROOT / "sketchprep" / room).rglob("*.py"))
    return len(files), sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


def draw(names: list[str], counts: Counter[tuple[str, str]], out: Path) -> None:
    """One line a room: its box, and how many imports it has from every other; all lie below the diagonal's steps."""
    plt.rcParams.update(
        {"svg.hashsalt": "sketchprep", "svg.fonttype": "none", "font.size": 8, "font.family": "sans-serif"}
    )
    figure, axes = plt.subplots(figsize=(9.5, 4.6), layout="constrained")
    most = max(counts.values())
    for y, name in enumerate(names):
        modules, lines = sizes(name)
        axes.add_patch(plt.Rectangle((0, y + 0.08), 7.3, 0.84, facecolor="#e8eef6", edgecolor="#5b7aa6"))
        axes.text(0.15, y + 0.5, name, weight="bold", va="center")
        axes.text(1.75, y + 0.5, WORDS[name], va="center")
        axes.text(7.15, y + 0.5, f"{modules} modules, {lines:,} lines", va="center", ha="right", color="#555555")
        for x, other in enumerate(names):
            count, left = counts[name, other], 7.7 + 0.55 * x
            shade = "#dddddd" if x == y else plt.cm.Blues(0.1 + 0.6 * (count / most) ** 0.5) if count else "white"
            axes.add_patch(plt.Rectangle((left, y + 0.08), 0.5, 0.84, facecolor=shade, edgecolor="#cccccc", lw=0.5))
            axes.text(
                left + 0.25, y + 0.5, count or "", ha="center", va="center", color="#777777" if x == y else "black"
            )
    for x, name in enumerate(names):
        axes.text(7.95 + 0.55 * x, -0.1, name, rotation=45, ha="left", va="bottom")
    axes.text(0, -0.25, "importing room", va="bottom", color="#555555")
    axes.set(xlim=(-0.05, 8.3 + 0.55 * len(names)), ylim=(len(names) + 0.05, -1.5))
    axes.axis("off")
    figure.savefig(out, metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_suffix(".svg"))
    out = parser.parse_args().out
    draw(rooms(), imports(), out)
    print(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
