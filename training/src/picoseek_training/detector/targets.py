"""What a picture teaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PictureTargets:
    """Boxes x1, y1, x2, y2 in pixels of the network input."""

    boxes: NDArray[np.float32]
    """[n, 4] objects."""
    ignored: NDArray[np.float32]
    """[m, 4] regions that are neither object nor background."""


def no_targets() -> PictureTargets:
    """Those of a picture that nobody annotated."""
    return PictureTargets(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32))
