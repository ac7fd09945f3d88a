"""What a run tells: stats.jsonl, log.txt, sample grids, a bar; TensorBoard and W&B as mirrors if asked for."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sketchprep.errors import UserError
from sketchprep.io.files import atomic

__all__ = ["Log"]

LINE_SECONDS = 10.0
STATS, TEXT, SAMPLES = "stats.jsonl", "log.txt", "samples"


class Log:
    """Context manager over the files of a run that are not checkpoints.

    Parameters
    ----------
    run : Path
    images, total : int
        Where the run goes on, and its length.
    mirrors : tuple of {"tensorboard", "wandb"}
    quiet : bool
        Neither bar nor lines; the files are written all the same.
    silent : bool
        Nothing at all: for the other processes of a run.
    """

    def __init__(
        self,
        run: Path,
        images: int,
        total: int,
        *,
        mirrors: tuple[str, ...] = (),
        quiet: bool = False,
        silent: bool = False,
    ) -> None:
        self._run, self._first, self._total, self._quiet, self._silent = run, images, total, quiet or silent, silent
        self._start = self._last = time.monotonic()
        self._told = (images, self._start)
        self._losses = ""
        self._mirrors: list[Any] = [] if silent else [_MIRRORS[name](run) for name in mirrors]
        self._bar: Any = None

    def __enter__(self) -> Log:
        if self._silent:
            return self
        _forget_after(self._run / STATS, self._first)
        if not self._quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self._total, initial=self._first, unit="image", unit_scale=True, smoothing=0.1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        for mirror in self._mirrors:
            mirror.close()

    def line(self, text: str) -> None:
        """Add a dated line to log.txt and show it."""
        if self._silent:
            return
        with (self._run / TEXT).open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
        self._show(text)

    def progress(self, images: int) -> None:
        """Move the bar; where nobody watches, print a line every few seconds."""
        if self._bar is not None:
            self._bar.update(images - self._bar.n)
        elif time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            rate = (images - self._first) / (self._last - self._start)
            left = (self._total - images) / rate / 60
            losses = f", {self._losses}" if self._losses else ""
            self._show(f"{images:,}/{self._total:,} images, {rate:.1f} images/s, {left:.0f} min left{losses}")

    def stats(
        self,
        images: int,
        rate: float,
        losses: Mapping[str, float],
        scores: Mapping[str, float],
        *,
        waited: float,
        memory: int,
    ) -> None:
        """Append a line to stats.jsonl and pass it to the mirrors.

        Parameters
        ----------
        rate : float
            Learning rate of the first optimiser.
        losses, scores : mapping of str to float
            Means since the last line; measures on held-out data, as ``score.NAME``.
        waited, memory
            Seconds spent waiting for data since the last line; peak bytes.
        """
        if self._silent:
            return
        now = time.monotonic()
        speed = (images - self._told[0]) / max(1e-9, now - self._told[1])
        self._told = (images, now)
        values = {
            "images": images,
            "lr": rate,
            **losses,
            **{f"score.{name}": float(f"{value:.6g}") for name, value in scores.items()},
            "images_per_second": round(speed, 2),
            "seconds_waiting": round(waited, 3),
            "peak_memory": memory,
        }
        with (self._run / STATS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
        for mirror in self._mirrors:
            mirror.stats(values)
        self._losses = ", ".join(f"{name} {v:.4g}" for name, v in losses.items() if name.endswith(".total"))
        if self._bar is not None:
            self._bar.set_postfix_str(self._losses, refresh=False)

    def grid(self, images: int, picture: np.ndarray) -> None:
        """Write ``samples/000012000.jpg``."""
        from sketchprep.io import images as imageio

        path = self._run / SAMPLES / f"{images:09d}.jpg"
        path.parent.mkdir(exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_bytes(imageio.encode_jpeg(picture if picture.ndim == 3 else np.dstack([picture] * 3)))
        for mirror in self._mirrors:
            mirror.grid(images, picture)

    def _show(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        elif not self._quiet:
            print(text, file=sys.stderr, flush=True)


def _forget_after(path: Path, images: int) -> None:
    """Drop what an interrupted run told of steps after its last checkpoint: they will be told again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["images"] <= images:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue  # cut off by the interruption
    with atomic(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")


class _TensorBoard:
    def __init__(self, run: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError("mirrors: tensorboard is not installed; pip install tensorboard, or leave it out") from None
        self._writer: Any = SummaryWriter(run / "tensorboard")

    def stats(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if name != "images":
                self._writer.add_scalar(name.replace(".", "/"), value, values["images"])

    def grid(self, images: int, picture: np.ndarray) -> None:
        self._writer.add_image("samples", picture, images, dataformats="HW" if picture.ndim == 2 else "HWC")

    def close(self) -> None:
        self._writer.close()


class _WandB:
    def __init__(self, run: Path) -> None:
        try:
            import wandb  # type: ignore[import-not-found]
        except ImportError:
            raise UserError("mirrors: wandb is not installed; pip install wandb, or leave it out") from None
        self._wandb: Any = wandb
        self._run = wandb.init(project="sketchprep", name=run.name, id=run.name, dir=run, resume="allow")

    def stats(self, values: Mapping[str, Any]) -> None:
        self._run.log(dict(values), step=values["images"])

    def grid(self, images: int, picture: np.ndarray) -> None:
        self._run.log({"samples": self._wandb.Image(picture)}, step=images)

    def close(self) -> None:
        self._run.finish()


_MIRRORS = {"tensorboard": _TensorBoard, "wandb": _WandB}
