"""Classification of pictures from several sets, each against the classes of its own set."""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.nn import functional as F

_EXCLUDED = -1e4


class DomainCrossEntropy(nn.Layer):
    """Cross entropy with smoothing in which a row competes only with the classes of its own domain.

    Sets label by different rules, so a class of another set is no wrong answer. Rows of class -1 have no label and
    count nothing; the loss is the mean over the others.
    """

    def __init__(self, class_domains: NDArray[np.int64], smoothing: float) -> None:
        """Take the domain of each class [C] and the part of the probability that smoothing spreads over the domain."""
        super().__init__()
        same = class_domains[:, None] == class_domains[None, :]
        self.smoothing = smoothing
        self._same = paddle.to_tensor(same.astype(np.float32))
        self._sizes = paddle.to_tensor(same.sum(axis=1).astype(np.float32))

    def forward(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Loss of logits [N, C] for classes [N] int64; 0 when no row has a label."""
        labelled = (classes >= 0).astype("float32")
        known = paddle.clip(classes, min=0)
        own = paddle.gather(self._same, known)
        log_probability = F.log_softmax(logits + (1.0 - own) * _EXCLUDED, axis=1)
        target = paddle.take_along_axis(log_probability, known.unsqueeze(1), axis=1).squeeze(1)
        uniform = (log_probability * own).sum(axis=1) / paddle.gather(self._sizes, known)
        loss = -(1.0 - self.smoothing) * target - self.smoothing * uniform
        return (loss * labelled).sum() / paddle.clip(labelled.sum(), min=1.0)
