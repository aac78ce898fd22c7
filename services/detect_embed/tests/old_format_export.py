"""Writes two tiny networks in Paddle's old format, with what they make of a picture.

A program of its own, since the format is chosen by FLAGS_enable_pir_api=0 before Paddle is imported.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.static import InputSpec as TensorSpec
from picoseek_bundle import InputSpec, Preprocessor, decode_picture

SIDE, DIMENSION = 32, 8


class TinyEmbedder(nn.Layer):
    """Pictures [N, 3, S, S] to vectors [N, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2D(3, 16, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2D(16)
        self.fc = nn.Linear(16, DIMENSION)

    def forward(self, image: Tensor) -> Tensor:
        maps = nn.functional.hardswish(self.norm(self.conv(image)))
        return self.fc(nn.functional.adaptive_avg_pool2d(maps, 1).flatten(1))


class TinyDetector(nn.Layer):
    """One box a picture, a quarter of its sides from each edge; takes and gives what official detectors do."""

    def __init__(self) -> None:
        super().__init__()
        self.edge = self.create_parameter([1], default_initializer=nn.initializer.Constant(0.25))

    def forward(self, image: Tensor, im_shape: Tensor, scale_factor: Tensor) -> tuple[Tensor, Tensor]:
        size = (im_shape / scale_factor).flip(1)
        near, far = size * self.edge, size * (1 - self.edge)
        score = (0.75 + 0.1 * image.mean(axis=[1, 2, 3], keepdim=True).flatten(1)).clip(0.5, 1.0)
        rows = paddle.concat([0 * score, score, near, far], axis=1)
        return rows, paddle.ones_like(rows[:, 0]).astype("int32")


def main(picture: Path, folder: Path) -> None:
    """Write `embedder.*`, `detector.*` and `expected.npy`, the embedder's [8] of the picture, to a folder."""
    paddle.seed(5)
    embedder, detector = TinyEmbedder(), TinyDetector()
    embedder.eval()
    detector.eval()
    image = TensorSpec([None, 3, SIDE, SIDE], "float32", "x")
    pairs = [TensorSpec([None, 2], "float32", name) for name in ("im_shape", "scale_factor")]
    paddle.jit.save(paddle.jit.to_static(embedder, [image], full_graph=True), str(folder / "embedder"))
    paddle.jit.save(paddle.jit.to_static(detector, [image, *pairs], full_graph=True), str(folder / "detector"))
    pixels = Preprocessor(InputSpec(width=SIDE, height=SIDE))(decode_picture(picture.read_bytes()))
    np.save(folder / "expected.npy", embedder(paddle.to_tensor(pixels[None])).numpy()[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
