"""A run's records: stats.jsonl, log.txt, sample grids, a progress bar; TensorBoard and W&B as mirrors."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchprep.errors import UserError
from sketchprep.io.files import atomic

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["STATS", "Log", "LossMonitor", "hours", "read_stats"]

LINE_SECONDS = 10.0
STATS, TEXT, SAMPLES = "stats.jsonl", "log.txt", "samples"


class Log:
    """Context manager over the files of a run that are not checkpoints.

    Parameters
    ----------
    run : Path
    images, total : int
        Position from which it resumes, and its length.
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
        self._losses, self._hours = "", 0.0
        self._mirrors: list[Any] = [] if silent else [_MIRRORS[name](run) for name in mirrors]
        self._bar: Any = None

    def __enter__(self) -> Log:
        if self._silent:
            return self
        _truncate_after(self._run / STATS, self._first)
        self._hours = hours(self._run / STATS) or 0.0
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
        self._hours += (now - self._told[1]) / 3600
        self._told = (images, now)
        values = {
            "images": images,
            "lr": rate,
            **losses,
            **{f"score.{name}": float(f"{value:.6g}") for name, value in scores.items()},
            "hours": round(self._hours, 6),
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


def hours(stats: Path, images: int | None = None) -> float | None:
    """Hours that a run has trained, up to so many images if given; None if ``stats.jsonl`` does not say.

    Grids, scores and checkpoints count; what a killed run did after its last checkpoint does not, nor does the start of
    a program.
    """
    spent = None
    for values in read_stats(stats):
        if "hours" in values and (images is None or values["images"] <= images):
            spent = float(values["hours"])
    return spent


def read_stats(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of ``stats.jsonl``, without those that an interruption cut off; none if there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            values = json.loads(line)
            float(values["images"])
        except (ValueError, KeyError, TypeError):
            continue
        yield values


def _truncate_after(path: Path, images: int) -> None:
    """Drop lines of steps after the last checkpoint, which a resumed run takes and logs again."""
    if not path.exists():
        return
    kept = [json.dumps(values) + "\n" for values in read_stats(path) if values["images"] <= images]
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


class LossMonitor:
    """Means of the losses between two lines of the statistics, and a guard against losses that are not finite.

    A step's losses are read once the next step has been issued, so that a GPU never waits for Python.
    """

    def __init__(self) -> None:
        self._queued: tuple[int, int, dict[str, Tensor]] | None = None
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, step: int, images: int, losses: Mapping[str, Tensor]) -> None:
        """Queue the losses of the step that ended at `images`, and read those of the step before.

        Raises
        ------
        UserError
            If one of the step before is not finite, naming it.
        """
        self.flush()
        self._queued = (step, images, dict(losses))

    def flush(self) -> None:
        """Read the queued losses; to be called before anything is saved.

        Raises
        ------
        UserError
            If a loss is not finite.
        """
        if self._queued is None:
            return
        import torch

        step, images, losses = self._queued
        self._queued = None
        values = torch.stack([value.reshape(()) for value in losses.values()]).tolist()
        for name, value in zip(losses, values, strict=True):
            if not math.isfinite(value):
                raise UserError(
                    f"the loss {name} became {value} in step {step:,} (up to image {images:,}); the checkpoints before "
                    "it are kept; start a new run from one with --init-from and a lower learning rate, gradient "
                    "clipping (clip=1), or precision=float32"
                )
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """Mean of each loss since the last call."""
        self.flush()
        means = {name: self._sums[name] / self._counts[name] for name in self._sums}
        self._sums, self._counts = {}, {}
        return means
