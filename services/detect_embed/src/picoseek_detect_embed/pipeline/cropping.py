"""A candidate's pixels, for the embedder and for the caller."""

from __future__ import annotations

import time

import cv2
import numpy as np
from numpy.typing import NDArray

from picoseek_detect_embed.pipeline.candidates import pixel_rectangle
from picoseek_detect_embed.pipeline.outcome import CropImage
from picoseek_detect_embed.pipeline.request import BoxTuple, CropFormat


def cut_out(picture: NDArray[np.uint8], box: BoxTuple) -> NDArray[np.uint8]:
    """Return the pixels of a clipped box as a view, [h, w, 3]."""
    left, top, right, bottom = pixel_rectangle(box)
    return picture[top:bottom, left:right]


def encode_crop(crop: NDArray[np.uint8], form: CropFormat) -> tuple[CropImage, float]:
    """Return a crop as JPEG, reduced to the longest side asked for, and the seconds it took."""
    started = time.perf_counter()
    height, width = crop.shape[:2]
    ratio = form.max_side / max(height, width)
    if ratio < 1:
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        crop = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        height, width = crop.shape[:2]
    encoded, file = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, form.quality])
    if not encoded:
        raise RuntimeError(f"OpenCV cannot encode a crop of {width} x {height} px")
    return CropImage(file.tobytes(), width, height), time.perf_counter() - started
