"""Signs that can be learned through."""

from __future__ import annotations

import paddle
from paddle import Tensor


def straight_through_signs(codes: Tensor) -> Tensor:
    """Return 1 where a value is above 0 and -1 elsewhere; the gradient passes as if they were the values.

    It is the straight-through estimator (Bengio, Léonard and Courville 2013, arXiv:1308.3432).
    """
    signs: Tensor = codes + (paddle.where(codes > 0, 1.0, -1.0) - codes).detach()
    return signs
