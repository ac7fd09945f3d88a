"""Foreign weights to safetensors: axes, determinism, wrong files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sketchprep.core.weights_convert import hed_from_keras
from sketchprep.errors import UserError


def test_hed_conversion_is_deterministic_and_orders_axes(tmp_path: Path) -> None:
    import h5py
    from safetensors.numpy import load_file

    rng = np.random.default_rng(0)
    source, kernels, channels = tmp_path / "w.h5", {}, 3
    with h5py.File(source, "w") as file:
        for block, (width, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
            for conv in range(count):
                key = f"block{block}/layers/conv2d{f'_{conv}' if conv else ''}/vars"
                kernels[block, conv] = rng.random((3, 3, channels, width), np.float32)
                file[f"{key}/0"], file[f"{key}/1"] = kernels[block, conv], np.full(width, block, "f4")
                channels = width
            file[f"dsn{block}/vars/0"] = rng.random((1, 1, channels, 1), np.float32)
            file[f"dsn{block}/vars/1"] = np.zeros(1, "f4")
        file["fuse/vars/0"], file["fuse/vars/1"] = np.full((1, 1, 5, 1), 0.2, "f4"), np.zeros(1, "f4")
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    hed_from_keras(source, first)
    hed_from_keras(source, second)
    assert first.read_bytes() == second.read_bytes()
    tensors = load_file(first)
    assert len(tensors) == 38
    weight = tensors["stages.2.1.weight"]
    assert weight.shape == (256, 256, 3, 3)
    assert weight[7, 200, 0, 2] == kernels[3, 1][0, 2, 200, 7]
    assert tensors["stages.4.0.bias"][3] == 5
    with h5py.File(source, "r+") as file:
        del file["dsn3"]
    with pytest.raises(UserError, match="not a Keras weight file"):
        hed_from_keras(source, second)
    source.write_text("text")
    with pytest.raises(UserError, match="not a Keras weight file"):
        hed_from_keras(source, second)
