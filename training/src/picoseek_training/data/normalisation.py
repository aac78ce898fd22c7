"""Pictures as the embedders' networks take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
"""ImageNet's, of red, green, blue from 0 to 1."""
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def normalised(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pictures [N, S, S, 3] RGB as network inputs [N, 3, S, S] (ImageNet's mean and deviation)."""
    scaled = (pictures.astype(np.float32) / np.float32(255) - MEAN) / STD
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
