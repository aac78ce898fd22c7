"""Where a student begins: near the trained network that its configuration names."""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import NDArray

from picoseek_training.data.normalisation import MEAN, STD
from picoseek_training.embedder.config import StartConfig
from picoseek_training.embedder.separable_start import SeparableSource, start_from_separable
from picoseek_training.embedder.student import Embedder
from picoseek_training.networks.mobilenet_v1 import MobileNetV1
from picoseek_training.networks.pp_lcnet import PPLCNet, PPLCNetConfig
from picoseek_training.tensorflow_import import load_mobilenet_v1
from picoseek_training.weight_import.known_network import load_onnx_weights

_OFFICIAL_CLASSES = 4


def start_student(student: Embedder, scale: float, config: StartConfig, pictures: NDArray[np.float32]) -> None:
    """Fill the stem and the stages of `student`, in place.

    Args:
        student: as it was made.
        scale: its width factor, which determines the source's.
        config: the source.
        pictures: [N, 3, H, W] normalised calibration pictures.

    Raises:
        FileNotFoundError: the weights are missing.
        ValueError: the file holds another network, or the widths differ.
    """
    if not config.weights.exists():
        raise FileNotFoundError(f"start.weights: {config.weights} does not exist; the recipe says where to get it")
    start_from_separable(student.backbone, _SOURCES[config.network](config, scale, pictures), pictures)


def _mobilenet_v1(config: StartConfig, scale: float, _pictures: NDArray[np.float32]) -> SeparableSource:
    source = MobileNetV1(scale)
    load_mobilenet_v1(config.weights, source)
    # From ImageNet's mean and deviation to -1 … 1.
    return SeparableSource(source.conv1, source.separable_blocks, tuple(2.0 * STD), tuple(2.0 * MEAN - 1.0))


def _pp_lcnet(config: StartConfig, scale: float, pictures: NDArray[np.float32]) -> SeparableSource:
    source = PPLCNet(PPLCNetConfig(scale=2.0 * scale, num_classes=_OFFICIAL_CLASSES))
    load_onnx_weights(source, config.weights, [paddle.to_tensor(pictures)])
    return SeparableSource(source.conv1, [block for name in source.stage_channels for block in getattr(source, name)])


_SOURCES = {"mobilenet_v1": _mobilenet_v1, "pp_lcnet": _pp_lcnet}
