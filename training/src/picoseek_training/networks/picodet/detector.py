"""The complete PicoDet detector."""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from picoseek_training.networks.picodet.config import PicoDetConfig
from picoseek_training.networks.picodet.csp_pan import CspPan
from picoseek_training.networks.picodet.decode import Priors, distances_to_boxes, expected_distances, make_priors
from picoseek_training.networks.picodet.lc_pan import LcPan
from picoseek_training.networks.picodet.looks import Look, join
from picoseek_training.networks.picodet.nms import multiclass_nms
from picoseek_training.networks.picodet.pico_head import PicoHead
from picoseek_training.networks.picodet.pico_head_v2 import PicoHeadV2
from picoseek_training.networks.picodet.tower import HeadMaps
from picoseek_training.networks.pp_lcnet import PPLCNetBackbone


class DensePredictions(NamedTuple):
    """Predictions of all cells; levels in order, row-major within a level."""

    classes: Tensor
    """[N, L, num_classes]; logits of the legacy head, probabilities of PicoHeadV2."""
    distributions: Tensor
    """[N, L, 4 * (reg_max + 1)] logits."""
    priors: Priors
    """Where the L cells lie."""


class PicoDet(nn.Layer):
    """Object detector: PP-LCNet backbone, path-aggregation neck, anchor-free head (arXiv:2111.00902)."""

    def __init__(self, config: PicoDetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = PPLCNetBackbone(config.backbone_scale)
        neck = {"lc_pan": LcPan, "csp_pan": CspPan}[config.neck]
        head = {"v2": PicoHeadV2, "legacy": PicoHead}[config.head]
        self.neck = neck(self.backbone.out_channels, config.channels)
        self.head = head(config.channels, config.tower_pairs, config.num_classes, config.reg_max)

    def head_maps(self, image: Tensor) -> HeadMaps:
        """Raw maps for pictures [N, 3, H, W]; H and W multiples of 32."""
        maps: HeadMaps = self.head(self.neck(self.backbone(image)))
        return maps

    def dense(self, image: Tensor) -> DensePredictions:
        """Predictions of all cells, before suppression; what the losses take."""
        return self.flatten(self.head_maps(image))

    def flatten(self, maps: HeadMaps) -> DensePredictions:
        """Join the levels of raw maps."""
        priors = make_priors([(level.shape[2], level.shape[3]) for level in maps.classes], self.config.strides)
        return DensePredictions(_join(maps.classes), _join(maps.distributions), priors)

    def probabilities(self, predictions: DensePredictions) -> Tensor:
        """[N, L, num_classes] scores in [0, 1]."""
        return F.sigmoid(predictions.classes) if self.head.classes_are_logits else predictions.classes

    def boxes(self, predictions: DensePredictions) -> Tensor:
        """[N, L, 4] x1, y1, x2, y2 in pixels of the network input, not clipped."""
        distances = expected_distances(predictions.distributions, self.config.reg_max)
        centers = paddle.to_tensor(predictions.priors.centers)
        return distances_to_boxes(centers, distances) * paddle.to_tensor(predictions.priors.strides)

    def forward(self, image: Tensor, scale_factor: Tensor) -> tuple[Tensor, Tensor]:
        """Detect objects.

        Args:
            image: [N, 3, H, W] normalised pictures.
            scale_factor: [N, 2] input height / original height, input width / original width.

        Returns:
            Rows [M, 6] (class, score, x1, y1, x2, y2 in original pixels, not clipped) of all pictures in order, and
            the number of rows of each picture [N].
        """
        pictures = (image, *(_shrunk(image, size) for size in self.config.further_sizes))
        found = join([self._look(picture, image) for picture in pictures])
        scale = paddle.flip(scale_factor, axis=[1]).tile([1, 2]).unsqueeze(1)
        return multiclass_nms(found.boxes / scale, found.scores.transpose([0, 2, 1]), self.config.nms)

    def _look(self, picture: Tensor, image: Tensor) -> Look:
        """Find boxes in a picture; they are in pixels of another of its sizes."""
        predictions = self.dense(picture)
        ratio = paddle.to_tensor([image.shape[3] / picture.shape[3], image.shape[2] / picture.shape[2]] * 2)
        return Look(self.boxes(predictions) * ratio, self.probabilities(predictions))


def _shrunk(image: Tensor, size: int) -> Tensor:
    """Return pictures as squares of `size` pixels, each the mean of what it covers."""
    return F.adaptive_avg_pool2d(image, size)


def _join(levels: list[Tensor]) -> Tensor:
    return paddle.concat([level.flatten(2).transpose([0, 2, 1]) for level in levels], axis=1)
