"""Foreign weight files to safetensors: the same input gives the same bytes on every machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchprep.errors import UserError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CONVERTERS", "face_generator_from_openvino", "hed_from_keras", "write_safetensors"]

# Convolutions in each of VGG16's five stages, without the classifier.
HED_STAGES = (2, 2, 3, 3, 3)


def write_safetensors(tensors: Mapping[str, np.ndarray], target: Path) -> None:
    """Write float32 arrays as one safetensors file, sorted by name.

    The safetensors library does not promise the same bytes from one version to the next; a published checksum needs
    that promise, and the format is a length, a JSON header and the raw arrays.

    Parameters
    ----------
    tensors : mapping of str to ndarray of float32
        Any shapes.
    target : Path
        File to create or overwrite; flushed to the disk before the function returns.
    """
    import numpy as np

    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    chunks, offset = [], 0
    for name in sorted(tensors):
        chunk = np.ascontiguousarray(tensors[name], dtype="<f4").tobytes()
        shape = list(tensors[name].shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(chunk)]}
        chunks.append(chunk)
        offset += len(chunk)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())


def hed_from_keras(source: Path, target: Path) -> None:
    """Convert HED's Keras 3 ``.weights.h5`` to safetensors with the names of `sketchprep.nn.hed.HED`.

    Parameters
    ----------
    source : Path
        HDF5 file with ``blockN/layers/conv2d…/vars/{0,1}``, ``dsnN/vars/{0,1}`` and ``fuse/vars/{0,1}``; kernels are
        stored height, width, in, out.
    target : Path
        Safetensors file to write; kernels out, in, height, width, float32.

    Raises
    ------
    UserError
        If the file is not HDF5 or lacks a layer.
    """
    import h5py

    names = {}
    for stage, convolutions in enumerate(HED_STAGES):
        for conv in range(convolutions):
            layer = "conv2d" if conv == 0 else f"conv2d_{conv}"
            names[f"stages.{stage}.{conv}"] = f"block{stage + 1}/layers/{layer}"
        names[f"sides.{stage}"] = f"dsn{stage + 1}"
    names["fuse"] = "fuse"
    tensors = {}
    try:
        with h5py.File(source, "r") as file:
            for ours, theirs in names.items():
                tensors[f"{ours}.weight"] = file[f"{theirs}/vars/0"][()].transpose(3, 2, 0, 1)
                tensors[f"{ours}.bias"] = file[f"{theirs}/vars/1"][()]
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{source} is not a Keras weight file of HED ({error}); fetch it again") from error
    write_safetensors(tensors, target)


def face_generator_from_openvino(source: Path, target: Path) -> None:
    """Convert MobileStyleGAN's OpenVINO files to safetensors with the names of `sketchprep.nn.face_generator`.

    Parameters
    ----------
    source : Path
        ``SynthesisNetwork.bin``; its ``.xml`` and both files of ``MappingNetwork`` lie beside it.
    target : Path
        Safetensors file to write, float32.

    Raises
    ------
    UserError
        If a file is no OpenVINO model, or lacks a layer.
    """
    from sketchprep.core.weights_openvino import face_generator_tensors

    write_safetensors(face_generator_tensors(source), target)


CONVERTERS: dict[str, Callable[[Path, Path], None]] = {
    "hed-from-keras": hed_from_keras,
    "face-generator-from-openvino": face_generator_from_openvino,
}
