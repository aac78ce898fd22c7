"""What follows the networks: suppression of results, and retrieval metrics."""

from __future__ import annotations

import numpy as np
from picoseek.evaluation.paddleclas import score_like_paddleclas
from picoseek.result_nms import result_nms

from golden.comparison import Comparison
from golden.golden_file import GoldenFile

KEPT = "keep_"
VARIANTS = ("nomask", "camera")


def covers_suppression(file: GoldenFile) -> bool:
    return file.has("boxes", "scores") and any(key.startswith(KEPT) for key in file.arrays)


def check_suppression(file: GoldenFile, comparison: Comparison) -> None:
    for key, expected in file.arrays.items():
        if key.startswith(KEPT):
            kept = result_nms(file.arrays["boxes"], file.arrays["scores"], float(key.removeprefix(KEPT)))
            comparison.exact(key, np.array(kept), expected)


def covers_retrieval(file: GoldenFile) -> bool:
    return file.has("query_feat", "gallery_feat", "query_label", "gallery_label")


def check_retrieval(file: GoldenFile, comparison: Comparison) -> None:
    arrays = file.arrays
    similarities = arrays["query_feat"] @ arrays["gallery_feat"].T
    for variant in VARIANTS:
        recalls = {
            int(key.removeprefix(f"{variant}_recall")): expected
            for key, expected in arrays.items()
            if key.startswith(f"{variant}_recall")
        }
        if not recalls:
            continue
        cameras = (arrays["query_camera"], arrays["gallery_camera"]) if variant == "camera" else (None, None)
        scores = score_like_paddleclas(
            similarities, arrays["query_label"], arrays["gallery_label"], tuple(recalls), *cameras
        )
        for k, expected in recalls.items():
            comparison.close(f"{variant}_recall{k}", np.asarray(scores.recall[k]), expected, atol=1e-6)
        others = {"mAP": scores.mean_average_precision, "mINP": scores.mean_inverse_negative_penalty}
        for name, value in others.items():
            if f"{variant}_{name}" in arrays:
                comparison.close(f"{variant}_{name}", np.asarray(value), arrays[f"{variant}_{name}"], atol=1e-6)
