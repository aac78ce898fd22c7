"""Recognition models: a backbone, a neck that makes the embedding, and a head that exists for training only."""

from picoseek_training.networks.recognition.config import REC_MODEL_CONFIGS, RecModelConfig, build_rec_model
from picoseek_training.networks.recognition.heads import (
    ArcMarginHead,
    CircleMarginHead,
    CosineHead,
    CosMarginHead,
    FCHead,
    MarginHead,
)
from picoseek_training.networks.recognition.model import RecModel, RecognitionOutput
from picoseek_training.networks.recognition.necks import BNNeck, FCNeck

__all__ = [
    "REC_MODEL_CONFIGS",
    "ArcMarginHead",
    "BNNeck",
    "CircleMarginHead",
    "CosMarginHead",
    "CosineHead",
    "FCHead",
    "FCNeck",
    "MarginHead",
    "RecModel",
    "RecModelConfig",
    "RecognitionOutput",
    "build_rec_model",
]
