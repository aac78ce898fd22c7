"""PicoDet, from raw maps to suppressed boxes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import paddle
from paddle import Tensor
from picoseek_training.networks.picodet import NmsConfig, PicoDet
from picoseek_training.networks.registry import create, names

from golden.comparison import Comparison
from golden.golden_file import GoldenFile, NotCovered
from golden.taps import compare_taps, recorded
from golden.weight_rule import fill_network, network_input

LEVEL_KEY = re.compile(r"(cls_logit|cls_prob|reg)_(\d+)")


def covers(file: GoldenFile) -> bool:
    return "picodet" in str(file.meta.get("model", ""))


def check(file: GoldenFile, comparison: Comparison) -> None:
    nms = NmsConfig(**file.meta.get("nms", {}))
    detector = create(_name(file), num_classes=file.meta["num_classes"], nms=nms)
    assert isinstance(detector, PicoDet)
    fill_network(detector, file.meta)
    if file.in_training_mode:
        detector.train()
    else:
        detector.eval()
    image = paddle.to_tensor(network_input(file.meta["seed"], file.meta["shape"]))
    with paddle.no_grad():
        with recorded(detector, {"backbone", "neck"}) as parts:
            maps = detector.head_maps(image)
        levels = {f"{part}_{level}": output for part, outputs in parts.items() for level, output in enumerate(outputs)}
        compare_taps(file, levels, comparison)
        _compare_maps(file, maps.classes, maps.distributions, comparison)
        _compare_boxes(file, detector, image, comparison)


def _name(file: GoldenFile) -> str:
    model = str(file.meta["model"]).rsplit("/", 1)[-1]
    if "mainbody" in model:
        return "picodet_mainbody"
    match = re.match(r"(picodet_[a-z]+)_\d+_coco_lcnet", model)
    if match is None or match[1] not in names():
        raise NotCovered(f"no detector of ours is called {model}")
    return match[1]


def _compare_maps(file: GoldenFile, classes: list[Tensor], distributions: list[Tensor], comparison: Comparison) -> None:
    for key, expected in file.arrays.items():
        match = LEVEL_KEY.fullmatch(key)
        if match is None:
            continue
        actual = (distributions if match[1] == "reg" else classes)[int(match[2])]
        if expected.ndim == 3:
            actual = actual.flatten(2).transpose([0, 2, 1])
        comparison.output(key, actual.numpy(), expected)


def _compare_boxes(file: GoldenFile, detector: PicoDet, image: Tensor, comparison: Comparison) -> None:
    predictions = detector.dense(image)
    actual: dict[str, Any] = {
        "scores": detector.probabilities(predictions).transpose([0, 2, 1]).numpy(),
        "boxes_input_scale": detector.boxes(predictions).numpy(),
    }
    for key, value in actual.items():
        if key in file.arrays:
            comparison.output(key, value, file.arrays[key])
    if file.has("nms_bbox", "nms_num"):
        scale = np.tile(np.array(file.meta["scale_factor_hw"], np.float32), (image.shape[0], 1))
        rows, counts = detector(image, paddle.to_tensor(scale))
        comparison.exact("nms_num", counts.numpy(), file.arrays["nms_num"])
        comparison.output("nms_bbox", rows.numpy(), file.arrays["nms_bbox"])
