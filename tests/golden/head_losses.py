"""Complete losses of PicoDet's heads with their gradients."""

from __future__ import annotations

from typing import Literal

import numpy as np
import paddle
from paddle import Tensor
from picoseek_training.assigners.assignment import PaddedTruth
from picoseek_training.losses.pico_head import DetectionLoss, PicoHeadLoss, PicoHeadV2Loss
from picoseek_training.networks.picodet.decode import Priors, make_priors

from golden.comparison import Comparison
from golden.golden_file import GoldenFile

ASSIGNERS: dict[str, Literal["atss", "task_aligned"]] = {"atss": "atss", "tal": "task_aligned"}


def covers(file: GoldenFile) -> bool:
    return file.has("loss_vfl", "cls_logit_0") or file.has("scores", "reg", "gt_bbox")


def check(file: GoldenFile, comparison: Comparison) -> None:
    if file.has("cls_logit_0"):
        _check_legacy(file, comparison)
    else:
        _check_v2(file, comparison)


def _check_legacy(file: GoldenFile, comparison: Comparison) -> None:
    levels = range(len(file.meta["strides"]))
    logits = [_leaf(file, f"cls_logit_{level}") for level in levels]
    distributions = [_leaf(file, f"reg_{level}") for level in levels]
    loss = PicoHeadLoss(num_classes=file.meta["num_classes"], reg_max=file.meta["reg_max"])(
        _joined(logits), _joined(distributions), _priors(file), _padded(file)
    )
    _compare("", loss, file, comparison)
    for level in levels:
        comparison.loss(f"grad_cls_{level}", logits[level].grad.numpy(), file.arrays[f"grad_cls_{level}"])
        comparison.loss(f"grad_reg_{level}", distributions[level].grad.numpy(), file.arrays[f"grad_reg_{level}"])


def _check_v2(file: GoldenFile, comparison: Comparison) -> None:
    arrays = file.arrays
    truth = PaddedTruth(
        arrays["gt_bbox"], arrays["gt_class"][..., 0].astype(np.int64), arrays["pad_gt_mask"][..., 0] > 0
    )
    for prefix, assigner in ASSIGNERS.items():
        if not file.has(f"{prefix}_loss"):
            continue
        scores, distributions = _leaf(file, "scores"), _leaf(file, "reg")
        loss = PicoHeadV2Loss(num_classes=file.meta["num_classes"], reg_max=file.meta["reg_max"])(
            scores, distributions, _priors(file), truth, assigner
        )
        _compare(f"{prefix}_", loss, file, comparison)
        comparison.loss(f"{prefix}_grad_scores", scores.grad.numpy(), arrays[f"{prefix}_grad_scores"])
        comparison.loss(f"{prefix}_grad_reg", distributions.grad.numpy(), arrays[f"{prefix}_grad_reg"])


def _compare(prefix: str, loss: DetectionLoss, file: GoldenFile, comparison: Comparison) -> None:
    loss.total.backward()
    parts = {
        "loss_vfl": loss.classification,
        "loss_bbox": loss.box,
        "loss_dfl": loss.distribution,
        "loss": loss.total,
    }
    for key, value in parts.items():
        comparison.loss(prefix + key, value.numpy(), file.arrays[prefix + key])


def _leaf(file: GoldenFile, key: str) -> Tensor:
    return paddle.to_tensor(file.arrays[key], stop_gradient=False)


def _joined(levels: list[Tensor]) -> Tensor:
    return paddle.concat([level.flatten(2).transpose([0, 2, 1]) for level in levels], axis=1)


def _priors(file: GoldenFile) -> Priors:
    strides = file.meta["strides"]
    size = file.meta["size"]
    return make_priors([(-(-size // stride), -(-size // stride)) for stride in strides], strides)


def _padded(file: GoldenFile) -> PaddedTruth:
    pictures = len(file.arrays["cls_logit_0"])
    boxes = [file.arrays[f"gt_bbox_{index}"] for index in range(pictures)]
    most = max(len(each) for each in boxes)
    truth = PaddedTruth(
        np.zeros((pictures, most, 4), np.float32),
        np.zeros((pictures, most), np.int64),
        np.zeros((pictures, most), bool),
    )
    for index, each in enumerate(boxes):
        truth.boxes[index, : len(each)] = each
        truth.labels[index, : len(each)] = file.arrays[f"gt_class_{index}"].reshape(-1)
        truth.valid[index, : len(each)] = True
    return truth
