"""Weights out of TensorFlow's files, without TensorFlow."""

from .frozen_graph import FrozenGraphError, read_constants
from .mobilenet_v1 import load_mobilenet_v1

__all__ = ["FrozenGraphError", "load_mobilenet_v1", "read_constants"]
