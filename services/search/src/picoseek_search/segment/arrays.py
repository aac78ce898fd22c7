"""Names of the array types that pass between modules."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32 | np.uint8]
"""Shape (rows, dimension) of float32 or, of packed bits, (rows, dimension / 8) of uint8; C-contiguous."""

Scores: TypeAlias = NDArray[np.float32]
"""One a hit, in the metric's own direction."""

Offsets: TypeAlias = NDArray[np.int64]
"""Places of rows in a segment, from 0."""

Mask: TypeAlias = NDArray[np.bool_]
"""One truth value a row."""
