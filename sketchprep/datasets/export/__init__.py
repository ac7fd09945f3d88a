"""The registry of export layouts, those that other projects train on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchprep.datasets.export.base import Exporter

__all__ = ["NAMES", "exporter"]

NAMES = ("pix2pix", "pix2pixhd", "imagefolder", "controlnet", "apdrawing", "shards")


def exporter(name: str) -> type[Exporter]:
    """Return the class that writes a layout of `NAMES`."""
    from sketchprep.datasets.export import apdrawing, imagefolder, pix2pix, subset

    kinds: tuple[type[Exporter], ...] = (
        pix2pix.Pix2Pix,
        pix2pix.Pix2PixHD,
        imagefolder.ImageFolder,
        imagefolder.ControlNet,
        apdrawing.APDrawing,
        subset.Shards,
    )
    return {kind.name: kind for kind in kinds}[name]
