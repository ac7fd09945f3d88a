"""Losses of a conditional GAN as pix2pixHD has them (Wang et al., CVPR 2018).

A discriminator's answer is a list over its scales; each scale is a list of activations, of which the last is the map
of logits (see `sketchprep.nn.patchgan`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["feature_matching", "l1", "lsgan"]

Scales = Sequence[Sequence[Tensor]]


def lsgan(scales: Scales, target: float) -> Tensor:
    """Squared distance of the logits from a target (Mao et al., Least Squares GANs, 2017).

    Parameters
    ----------
    scales : list of list of Tensor
        Of one discriminator; only the last tensor of each scale, (B, 1, h, w), counts.
    target : float
        1 for what shall pass for real, 0 for what shall be found out.

    Returns
    -------
    Tensor
        Scalar: mean over pictures and patches, summed over the scales.
    """
    return torch.stack([(activations[-1].float() - target).square().mean() for activations in scales]).sum()


def feature_matching(fake: Scales, real: Scales) -> Tensor:
    """Distance between the activations of a discriminator for a generated picture and for the real one.

    Parameters
    ----------
    fake, real : list of list of Tensor
        The logits are left out.  No gradient reaches `real`.

    Returns
    -------
    Tensor
        Scalar: mean absolute differences, each times 4 / (activations below the logits) / scales, summed.  A
        discriminator of n layers has n + 1 such activations, which is pix2pixHD's 4 / (n + 1).
    """
    terms = []
    for ours, theirs in zip(fake, real, strict=True):
        weight = 4 / (len(ours) - 1) / len(fake)
        pairs = zip(ours[:-1], theirs[:-1], strict=True)
        terms += [weight * l1(output, target.detach()) for output, target in pairs]
    return torch.stack(terms).sum()


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference, in float32."""
    return (output.float() - target.float()).abs().mean()
