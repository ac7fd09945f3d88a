"""Projection of sketches onto a bank of 17,703 faces, five codes of 512 each, against plain float32, interleaved.

python tests/benchmarks/bench_manifold.py [--rounds 15] [--threads 1 2] [--faces 17703] [--latent 512]

Plain float32 is what one would write first: matrix product, squared norms kept, topk; neighbours alone, neither exact
nor projected.  Ours are exact, with weights and projected codes.  Memory is the peak of a fresh process that loads the
bank from its file and projects one sketch and a batch, less what it took before, by the size of the float32 codes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from interleaved import memory, take_turns

from sketchprep.models.deepfacedrawing.drawing import manifold
from sketchprep.models.deepfacedrawing.drawing.bank import ComponentBank, load_bank, make_bank
from sketchprep.models.deepfacedrawing.drawing.distance_bounds import DistanceBounds

HERE = Path(__file__).resolve()
BATCH, K = 64, 10


def make(faces: int, latent: int) -> tuple[ComponentBank, torch.Tensor]:
    """A bank whose codes vary in some directions more than in others, and sketches between its faces."""
    seed = torch.Generator().manual_seed(0)
    spread = torch.logspace(0, -1.5, latent)
    codes = (torch.randn(5, faces, latent, generator=seed) * spread).transpose(0, 1)
    bank = make_bank(codes, [str(i) for i in range(faces)], "0" * 64)
    a, b = torch.randint(0, faces, (2, BATCH), generator=seed)
    noise = 0.3 * spread * torch.randn(BATCH, 5, latent, generator=seed)
    return bank, (0.6 * bank.codes[a] + 0.4 * bank.codes[b] + noise).contiguous()


def plain(bank: ComponentBank, norms: torch.Tensor, queries: torch.Tensor) -> list[torch.Tensor]:
    """Neighbours in float32."""
    return [
        (norms[part] - 2 * (queries[:, part] @ bank.by_part[part].T)).topk(K, largest=False).indices
        for part in range(5)
    ]


def runs_of(bank: ComponentBank, queries: torch.Tensor) -> dict[str, Callable[[], object]]:
    norms = bank.by_part.square().sum(-1)
    slow = ComponentBank(bank.by_part, bank.ids, bank.encoders, {})
    slow._shared["distance_bounds"] = DistanceBounds(bank.by_part, "float32")
    kinds = {"plain float32": None, "ours, by float32": slow, f"ours, by {bank.distance_bounds.kind}": bank}
    made: dict[str, Callable[[], object]] = {}
    for name, used in kinds.items():
        for some in (queries[:1], queries):
            call = (
                (lambda some=some: plain(bank, norms, some))
                if used is None
                else (lambda some=some, used=used: manifold.project(used, some, K))
            )
            made[f"{name}|{len(some)}"] = call
    return made


def alone(path: Path) -> None:
    """Child of `peak_memory`."""
    manifold.project(*make(50, 16))  # libraries and their threads are up before memory is counted
    before = memory("VmRSS")
    bank = load_bank(path)
    for count in (1, BATCH):
        manifold.project(bank, bank.codes[:count] * 0.9, K)
    print((memory("VmHWM") - before) / bank.by_part.nbytes)


def peak_memory(bank: ComponentBank) -> float:
    """By the size of the codes."""
    with tempfile.TemporaryDirectory() as folder:
        path = bank.save(Path(folder) / "bank.safetensors")
        command = [sys.executable, str(HERE), "--alone", str(path)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--faces", type=int, default=17_703)
    parser.add_argument("--latent", type=int, default=512)
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        alone(options.alone)
        return
    bank, queries = make(options.faces, options.latent)
    runs = runs_of(bank, queries)
    print(f"{options.faces} × 5 × {options.latent}, K = {K}, {options.rounds} interleaved rounds; ms: median (min)\n")
    print(f"| Threads | | One sketch, ms | Batch of {BATCH}, ms | Rate in a batch / alone | Plain / this, one sketch |")
    print("|---|---|---|---|---|---|")
    for threads in options.threads:
        torch.set_num_threads(threads)
        taken = {name: [1000 * s for s in some] for name, some in take_turns(runs, options.rounds).items()}
        for name in dict.fromkeys(name.split("|")[0] for name in taken):
            one, many, base = taken[f"{name}|1"], taken[f"{name}|{BATCH}"], taken["plain float32|1"]
            rate = statistics.median(BATCH * a / b for a, b in zip(one, many, strict=True))
            ratio = statistics.median(a / b for a, b in zip(base, one, strict=True))
            print(
                f"| {threads} | {name} | {statistics.median(one):.1f} ({min(one):.1f}) "
                f"| {statistics.median(many):.0f} ({min(many):.0f}) | {rate:.1f} | {ratio:.2f} |",
                flush=True,
            )
    held = 1 + bank.distance_bounds.nbytes / bank.by_part.nbytes
    print(f"\nMemory, by the float32 codes ({bank.by_part.nbytes / 1e6:.0f} MB): held {held:.2f}", end=", ")
    print(f"peak of a process {peak_memory(bank):.2f}")


if __name__ == "__main__":
    main()
