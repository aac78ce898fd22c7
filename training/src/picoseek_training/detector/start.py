"""The official PicoDet-XS, as teacher and as start of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from paddle import Tensor

from picoseek_training.detector.class_agnostic import to_one_class
from picoseek_training.networks.picodet import PICODET_CONFIGS, PicoDet
from picoseek_training.weight_import.known_network import load_onnx_weights


def load_official_picodet_xs(onnx: Path, images: Sequence[Tensor]) -> PicoDet:
    """Load the official PicoDet-XS (80 COCO classes) from its ONNX file.

    Args:
        onnx: The file, BatchNorm folded, convolutions in graph order.
        images: Batches [N, 3, H, W] of normalised real pictures, to restore the BatchNorm statistics.

    Raises:
        ValueError: The file holds another network.
    """
    detector = PicoDet(PICODET_CONFIGS["picodet_xs"])
    load_onnx_weights(detector, onnx, images)
    return detector


def load_class_agnostic_start(onnx: Path, images: Sequence[Tensor]) -> tuple[PicoDet, PicoDet]:
    """Return the official detector of 80 classes and the detector of one class made of it."""
    official = load_official_picodet_xs(onnx, images)
    return official, to_one_class(official, images)
