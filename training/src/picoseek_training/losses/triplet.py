"""Triplet losses with the hardest positive and negative of a batch, and of a memory of batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import paddle
from paddle import Tensor
from paddle.nn import functional as F

from picoseek_training.losses.classification import Reduction, reduce_examples

OUT_OF_REACH = 10.0
"""Stands for no similarity at all when the hardest pair is sought; cosines lie within -1 to 1."""
_UNWRITTEN = -1


@dataclass(frozen=True)
class TripletAngularMarginLoss:
    """The least similar positive must beat the most similar negative by a margin (PaddleClas).

    With `add_absolute` positives and negatives must also reach similarities of their own. An example whose negatives
    all lie below `an_value` then adds 1 instead of 0 to that part, as in the original; gradients do not change.
    """

    margin: float = 0.5
    normalize_feature: bool = True
    """Compare cosines; otherwise inner products."""
    reduction: Reduction = "mean"
    """Of the margin part."""
    add_absolute: bool = False
    absolute_loss_weight: float = 1.0
    ap_value: float = 0.9
    """Similarity that the hardest positive should reach."""
    an_value: float = 0.5
    """Similarity that the hardest negative should stay below."""

    def __call__(self, features: Tensor, label: Tensor) -> Tensor:
        """Compute the loss of features [n, D] with labels [n] or [n, 1]."""
        label = label.flatten()
        if self.normalize_feature:
            features = features / features.square().sum(axis=1, keepdim=True).sqrt()
        return self.against(features, label, features, label)

    def against(self, features: Tensor, label: Tensor, others: Tensor, other_label: Tensor) -> Tensor:
        """Compute the loss of features [n, D] whose pairs are sought among others [m, D]; all normalised already."""
        similarity = features @ others.t()
        same = label.unsqueeze(1) == other_label.unsqueeze(0)
        if self.normalize_feature:
            far = paddle.full_like(similarity, OUT_OF_REACH)
        else:
            far = paddle.full_like(similarity, float("inf"))
        positive = paddle.where(same, similarity, far).min(axis=1)
        negative = paddle.where(same, -far, similarity).max(axis=1)
        loss = reduce_examples(F.relu(self.margin - (positive - negative)), self.reduction)
        if not self.add_absolute:
            return loss
        missing = F.relu(self.ap_value - positive).mean()
        excess = negative - self.an_value
        absolute = missing + paddle.where(excess > 0, excess, paddle.ones_like(excess)).mean()
        return loss.mean() + self.absolute_loss_weight * absolute


DEFAULT_TRIPLET = TripletAngularMarginLoss()


class CrossBatchMemory:
    """Ring of the last features and labels (XBM, arXiv:1912.06798).

    As in the original, a batch that does not fit overwrites the tail and the ring starts anew. It counts as full once
    its tail was written; the original waits for a label there that is not 0.
    """

    def __init__(self, size: int, dimension: int) -> None:
        self._features = paddle.zeros([size, dimension])
        self._labels = paddle.full([size], _UNWRITTEN, dtype="int64")
        self._end = 0

    def enqueue(self, features: Tensor, labels: Tensor) -> None:
        """Remember features [n, D] and labels [n]; n is at most the size."""
        count, size = len(labels), len(self._labels)
        if self._end + count > size:
            self._features[size - count :] = features
            self._labels[size - count :] = labels
            self._end = 0
        else:
            self._features[self._end : self._end + count] = features
            self._labels[self._end : self._end + count] = labels
            self._end += count

    def content(self) -> tuple[Tensor, Tensor]:
        """Features [m, D] and labels [m] that are remembered."""
        filled = len(self._labels) if self._labels[-1].item() != _UNWRITTEN else self._end
        return self._features[:filled], self._labels[:filled]

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to go on exactly."""
        return {"features": self._features.numpy(), "labels": self._labels.numpy(), "end": self._end}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state of a memory of the same size."""
        self._features.set_value(state["features"])
        self._labels.set_value(state["labels"])
        self._end = int(state["end"])


class TripletAngularMarginLossXBM:
    """`TripletAngularMarginLoss` in the batch, plus the same loss against a memory of batches."""

    def __init__(
        self,
        start_iter: int,
        xbm_size: int,
        xbm_weight: float,
        feat_dim: int,
        loss: TripletAngularMarginLoss = DEFAULT_TRIPLET,
    ) -> None:
        self._loss = loss
        self._start = start_iter
        self._weight = xbm_weight
        self._memory = CrossBatchMemory(xbm_size, feat_dim)
        self._calls = 0

    def __call__(self, features: Tensor, label: Tensor) -> Tensor:
        """Compute the loss of features [n, D] with labels [n] or [n, 1], and remember them."""
        self._calls += 1
        label = label.flatten()
        if self._loss.normalize_feature:
            features = F.normalize(features, p=2, axis=1)
        loss = self._loss.against(features, label, features, label)
        if self._calls <= self._start:
            return loss
        self._memory.enqueue(features.detach(), label)
        return loss + self._weight * self._loss.against(features, label, *self._memory.content())

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to go on exactly."""
        return {"calls": self._calls, "memory": self._memory.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._calls = int(state["calls"])
        self._memory.load_state_dict(state["memory"])


@dataclass(frozen=True)
class TripletLossV2:
    """The farthest positive must be nearer than the nearest negative by a margin, in Euclidean distance."""

    margin: float = 0.5
    normalize_feature: bool = True

    def __call__(self, features: Tensor, label: Tensor) -> Tensor:
        """Compute the loss of features [n, D] with labels [n] or [n, 1]."""
        label = label.flatten()
        if self.normalize_feature:
            features = features / (features.square().sum(axis=1, keepdim=True).sqrt() + 1e-12)
        squares = features.square().sum(axis=1)
        inner = features @ features.t()
        squared = squares.unsqueeze(1) + squares.unsqueeze(0) - 2.0 * inner
        distance = squared.clip(min=1e-12).sqrt()
        same = label.unsqueeze(1) == label.unsqueeze(0)
        nothing = paddle.full_like(distance, float("inf"))
        positive = paddle.where(same, distance, -nothing).max(axis=1)
        negative = paddle.where(same, nothing, distance).min(axis=1)
        return F.relu(positive - negative + self.margin).mean()
