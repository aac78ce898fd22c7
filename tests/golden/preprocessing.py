"""From pictures to network inputs."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from picoseek_bundle.manifest import InputSpec, Interpolation, ResizeMode
from picoseek_bundle.preprocess import Preprocessor

from golden.comparison import Comparison
from golden.golden_file import Array, GoldenFile

BILINEAR_TOLERANCE, BICUBIC_TOLERANCE = 0.02, 0.06
"""One grey level, after normalisation."""


def covers(file: GoldenFile) -> bool:
    return file.has("image") and file.arrays["image"].dtype == np.uint8


def check(file: GoldenFile, comparison: Comparison) -> None:
    picture = np.ascontiguousarray(file.arrays["image"][:, :, ::-1])
    for key, expected in file.arrays.items():
        for pattern, compare in PATTERNS.items():
            match = re.fullmatch(pattern, key)
            if match:
                compare(picture, key, match, expected, comparison)


def _recogniser(size: int) -> Preprocessor:
    return Preprocessor(InputSpec(width=size, height=size))


def _detector(size: int) -> Preprocessor:
    return Preprocessor(InputSpec(width=size, height=size, interpolation=Interpolation.BICUBIC))


def _recognition(picture: Array, key: str, match: re.Match[str], expected: Array, comparison: Comparison) -> None:
    actual = _recogniser(int(match[1]))(picture)
    comparison.close(key, actual, expected, BILINEAR_TOLERANCE)


def _resized(picture: Array, key: str, match: re.Match[str], expected: Array, comparison: Comparison) -> None:
    height, width = expected.shape[:2]
    resized = Preprocessor(InputSpec(width=width, height=height)).resize(picture)
    comparison.close(key, resized[:, :, ::-1], expected, atol=1)


def _crop(picture: Array, key: str, match: re.Match[str], expected: Array, comparison: Comparison) -> None:
    top, bottom, left, right, every = (int(group) for group in match.groups())
    actual = _recogniser(expected.shape[1] * every)(np.ascontiguousarray(picture[top:bottom, left:right]))
    comparison.close(key, actual[:, ::every, ::every], expected, BILINEAR_TOLERANCE)


def _classification(picture: Array, key: str, match: re.Match[str], expected: Array, comparison: Comparison) -> None:
    short, size, every = int(match[1]), int(match[2]), int(match[3] or 1)
    spec = InputSpec(width=size, height=size, resize=ResizeMode.SHORT_SIDE_CROP, short_side=short)
    comparison.close(key, Preprocessor(spec)(picture)[:, ::every, ::every], expected, BILINEAR_TOLERANCE)


def _detection(picture: Array, key: str, match: re.Match[str], expected: Array, comparison: Comparison) -> None:
    every = int(match[2] or 1)
    actual = _detector(int(match[1]))(picture)[:, ::every, ::every]
    comparison.close(key, actual, expected, BICUBIC_TOLERANCE)


def _scale_factor(picture: Array, key: str, match: re.Match[str], expected: Array, comparison: Comparison) -> None:
    comparison.close(key, np.array(_detector(int(match[1])).scale_factor(picture)), expected, atol=0, rtol=1e-6)


def _shape(picture: Array, key: str, match: re.Match[str], expected: Array, comparison: Comparison) -> None:
    comparison.exact(key, np.array(_detector(int(match[1])).shape[1:]), expected)


def _moments(picture: Array, key: str, match: re.Match[str], expected: Array, comparison: Comparison) -> None:
    values = _detector(int(match[1]))(picture).astype(np.float64)
    comparison.close(key, np.array([values.mean(), values.std()]), expected, atol=1e-3)


Compare = Callable[[Array, str, "re.Match[str]", Array, Comparison], None]
PATTERNS: dict[str, Compare] = {
    r"rec_(\d+)": _recognition,
    r"rec_resized_u8": _resized,
    r"rec_crop_(\d+)_(\d+)_(\d+)_(\d+)_every(\d+)": _crop,
    r"cls_short(\d+)_crop(\d+)(?:_every(\d+))?": _classification,
    r"det_(\d+)(?:_every(\d+))?": _detection,
    r"det_(\d+)_scale_factor": _scale_factor,
    r"det_(\d+)_im_shape": _shape,
    r"det_(\d+)_mean_std": _moments,
}
"""By key. Keep-ratio sizes have no counterpart: our detectors' inputs are of fixed size."""
