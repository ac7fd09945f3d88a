"""Small drawn pictures and the corpora made of them."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest


def draw(width: int = 24, height: int = 24, seed: int = 0) -> np.ndarray:
    """A smooth colour picture (RGB) that differs by `seed`."""
    y, x = np.mgrid[:height, :width]
    return np.stack([(x * 7 + seed * 31) % 256, (y * 5 + seed * 17) % 256, (x + y + seed) % 256], -1).astype(np.uint8)


def encode(picture: np.ndarray, extension: str = ".jpg") -> bytes:
    """Encode an RGB or grey picture."""
    stored = picture[..., ::-1] if picture.ndim == 3 else picture
    return cv2.imencode(extension, stored)[1].tobytes()


@pytest.fixture
def plant(tmp_path):
    """Write files (path to bytes, or to a seed for a drawn picture) below a new folder and return it."""

    def plant(files, name="corpus") -> Path:
        root = tmp_path / name
        for path, content in files.items():
            full = root / path
            full.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, int):
                content = encode(draw(seed=content), full.suffix)
            full.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return plant


@pytest.fixture
def zipped(tmp_path):
    """Zip a folder, files in reversed order, optionally below a top folder."""

    def zipped(root: Path, top: str = "") -> Path:
        target = tmp_path / f"{root.name}.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(root.rglob("*"), reverse=True):
                if file.is_file():
                    archive.write(file, top + file.relative_to(root).as_posix())
        return target

    return zipped
