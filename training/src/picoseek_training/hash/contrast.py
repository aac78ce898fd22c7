"""Pairs of views told apart from others by their bits: InfoNCE (van den Oord et al. 2018, arXiv:1807.03748)."""

from __future__ import annotations

import paddle
from paddle import Tensor
from paddle.nn import functional as F

from picoseek_training.hash.straight_through import straight_through_signs

_LEFT_OUT = 1e4


def pair_loss(first: Tensor, second: Tensor, classes: Tensor, temperature: float) -> Tensor:
    """Return the mean cross-entropy of finding the other view of a pair among all views.

    Codes are compared by the cosine of their bits as -1 and 1, which is 1 - 2 * Hamming distance / bits. Views of other
    pairs of the same class are neither looked for nor told apart.

    Args:
        first: [P, bits] from -1 to 1, one view of each pair. The gradient passes their signs as if they were the codes.
        second: [P, bits] the other view of each.
        classes: [P] class of each pair, -1 without a label: that is a class of its own.
        temperature: of the cosines.
    """
    count = len(first)
    signs = straight_through_signs(paddle.concat([first, second]))
    left_out = ((classes.unsqueeze(0) == classes.unsqueeze(1)) & (classes >= 0)).astype("float32").tile([2, 2])
    partner = paddle.concat([paddle.arange(count, 2 * count), paddle.arange(count)])
    own = paddle.eye(2 * count)
    left_out = paddle.maximum(left_out, own) * (1.0 - own[partner])
    loss: Tensor = F.cross_entropy(signs @ signs.t() / signs.shape[1] / temperature - left_out * _LEFT_OUT, partner)
    return loss
