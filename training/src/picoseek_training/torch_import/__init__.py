"""Weights out of torch's checkpoints, without torch."""

from .checkpoint import TorchCheckpointError, read_state_dict
from .efficientnet_lite import load_efficientnet_lite

__all__ = ["TorchCheckpointError", "load_efficientnet_lite", "read_state_dict"]
