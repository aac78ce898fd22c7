"""From a decoded picture to a network's input, exactly as in training."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from picoseek_bundle.manifest import InputSpec, Interpolation, ResizeMode

_INTERPOLATION = {
    Interpolation.BILINEAR: cv2.INTER_LINEAR,
    Interpolation.BICUBIC: cv2.INTER_CUBIC,
    Interpolation.AREA: cv2.INTER_AREA,
}


class Preprocessor:
    """Resizes and normalises pictures for one network. It holds no state and may be called from several threads."""

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec
        std = np.asarray(spec.std, dtype=np.float64)
        # (x * scale - mean) / std as one multiplication and one addition a channel
        self._factor = (spec.scale / std).astype(np.float32)
        self._offset = (-np.asarray(spec.mean, dtype=np.float64) / std).astype(np.float32)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one input: (3, height, width)."""
        return (3, self.spec.height, self.spec.width)

    def __call__(self, picture: NDArray[np.uint8], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return the network's input.

        Args:
            picture: [height, width, 3] uint8, BGR, at least one pixel.
            out: [3, height, width] float32 of the input size to write into, for instance shared memory.

        Returns:
            `out`, or a new array of that shape.
        """
        resized = self.resize(picture)
        if out is None:
            out = np.empty(self.shape, dtype=np.float32)
        for channel in range(3):
            source = channel if self.spec.channel_order == "bgr" else 2 - channel
            np.multiply(resized[:, :, source], self._factor[channel], out=out[channel])
            out[channel] += self._offset[channel]
        return out

    def resize(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the picture at the input size, [height, width, 3] uint8 in the picture's own channel order."""
        spec = self.spec
        mode = _INTERPOLATION[spec.interpolation]
        height, width = picture.shape[:2]
        if spec.resize is ResizeMode.STRETCH:
            if (height, width) == (spec.height, spec.width):
                return picture
            stretched = cv2.resize(picture, (spec.width, spec.height), interpolation=mode)
            return np.asarray(stretched, dtype=np.uint8)
        assert spec.short_side is not None
        ratio = spec.short_side / min(height, width)
        size = (max(spec.width, round(width * ratio)), max(spec.height, round(height * ratio)))
        resized = np.asarray(cv2.resize(picture, size, interpolation=mode), dtype=np.uint8)
        top = (resized.shape[0] - spec.height) // 2
        left = (resized.shape[1] - spec.width) // 2
        return resized[top : top + spec.height, left : left + spec.width]

    def scale_factor(self, picture: NDArray[np.uint8]) -> tuple[float, float]:
        """Return (input height / picture height, input width / picture width): detectors divide boxes by them."""
        height, width = picture.shape[:2]
        return (self.spec.height / height, self.spec.width / width)
