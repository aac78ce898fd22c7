"""PicoDet: necks, heads, decoding and the complete detector."""

from picoseek_training.networks.picodet.config import PICODET_CONFIGS, PicoDetConfig
from picoseek_training.networks.picodet.detector import DensePredictions, PicoDet
from picoseek_training.networks.picodet.nms import NmsConfig

__all__ = ["PICODET_CONFIGS", "DensePredictions", "NmsConfig", "PicoDet", "PicoDetConfig"]
