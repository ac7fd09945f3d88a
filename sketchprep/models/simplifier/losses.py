"""Losses between a predicted and a clean line drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["losses"]


def losses(logits: Tensor, ink: Tensor, weight: Tensor, ink_weight: float) -> dict[str, Tensor]:
    """Cross entropy, Dice and L1 loss of a drawing against the clean one, each a mean over the pictures of a batch.

    Parameters
    ----------
    logits : Tensor of float, shape (B, 1, H, W)
        Of ink.
    ink : Tensor of float, shape (B, 1, H, W)
        The clean drawing, 0 (paper) to 1 (ink), soft at the edges of lines.
    weight : Tensor of float, shape (B, 1, H, W)
        How much a pixel counts; 0 where the teacher does not know.
    ink_weight : float
        Further factor on ink.

    Returns
    -------
    dict
        ``bce``, the cross entropy, and ``l1``, the absolute difference, as weighted means over a picture's pixels;
        ``dice``: 1 - 2 Σpt / Σ(p² + t²), in which blank paper does not count (Milletari et al., V-Net, 2016: with
        squares the optimum for a soft target is the target).

    Notes
    -----
    Where a line's place cannot be told to a pixel, the cross entropy is least for a grey smear, the other two for ink
    wherever it is likely enough: they make decided lines.  A loss that forgives two pixels by pooling maxima was tried
    and left out: dotted lines satisfy it.
    """
    import torch
    from torch.nn import functional as F

    logits, axes = logits.float(), (1, 2, 3)
    p, w = torch.sigmoid(logits), weight * (1 + (ink_weight - 1) * ink)
    area = w.sum(axes).clamp_min(1e-6)
    bce = (w * F.binary_cross_entropy_with_logits(logits, ink, reduction="none")).sum(axes) / area
    l1 = (w * (p - ink).abs()).sum(axes) / area
    # One pixel in both sums makes blank drawings well defined.
    dice = 1 - (2 * (weight * p * ink).sum(axes) + 1) / ((weight * (p * p + ink * ink)).sum(axes) + 1)
    return {"bce": bce.mean(), "dice": dice.mean(), "l1": l1.mean()}
