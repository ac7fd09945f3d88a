"""Weights made by a rule instead of training, so that two implementations can be compared number by number.

Each tensor is normal noise seeded by the checksum of its name; scales follow StyleGAN2's equalised layers.
"""

from __future__ import annotations

import re
import zlib

import numpy as np
import torch
from torch import Tensor, nn


def normal(name: str, shape: tuple[int, ...], scale: float = 1, shift: float = 0) -> Tensor:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32) * np.float32(scale) + np.float32(shift))


def uniform(name: str, shape: tuple[int, ...]) -> Tensor:
    """From -1 to 1."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return torch.from_numpy(rng.random(shape, dtype=np.float32) * 2 - 1)


def fill(net: nn.Module, prefix: str):
    """Give a StyleGAN2 network the rule's weights."""
    state = net.state_dict()
    net.load_state_dict({name: _weight(prefix, name, tuple(value.shape)) for name, value in state.items()})
    return net


def _weight(prefix: str, name: str, shape: tuple[int, ...]) -> Tensor:
    rules = (
        (r"style\.\d+\.weight", 100, 0),
        (r"style\.\d+\.bias", 10, 0),
        (r".*w_shift", 0.3, 0),
        (r"noises\..*", 1, 0),
        (r".*noise\.weight", 0.1, 0),
        (r".*modulation\.bias", 0.1, 1),
        (r".*bias", 0.1, 0),
        (r".*", 1, 0),
    )
    scale, shift = next((scale, shift) for rule, scale, shift in rules if re.fullmatch(rule, name))
    return normal(prefix + name, shape, scale, shift)


def fill_photosketch(net: nn.Module, prefix: str):
    """Give PhotoSketch the rule's weights."""
    state = net.state_dict()
    for name, value in state.items():
        shape, key = tuple(value.shape), prefix + name
        if name.endswith("running_var"):
            state[name] = 1 + 0.5 * normal(key, shape).abs()
        elif name.endswith(("running_mean", "bias")):
            state[name] = normal(key, shape, 0.1)
        elif len(shape) == 1:
            state[name] = normal(key, shape, 0.1, 1)
        elif shape:
            state[name] = normal(key, shape, float(np.sqrt(1 / np.prod(shape[1:]))))
    net.load_state_dict(state)
    return net
