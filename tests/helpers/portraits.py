"""The bundled portraits, by name."""

from __future__ import annotations

from pathlib import Path

PORTRAITS = Path(__file__).resolve().parents[2] / "sketchprep" / "data" / "portraits"

# Frontal, and found by the detector at its first look.
FRONTAL = ("female-02", "female-13", "male-00", "male-03", "male-07", "male-12", "female-35", "male-32")


def portrait(name: str) -> Path:
    return PORTRAITS / f"{name}.jpg"
