"""Schedules, weight averages, BatchNorm, dropout and optimiser steps."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
import paddle
from paddle import nn
from picoseek_training.detector.config import OptimizerConfig
from picoseek_training.detector.training import make_optimizer
from picoseek_training.networks.layers import DownscaleInInferDropout
from picoseek_training.networks.recognition import BNNeck
from picoseek_training.optimization.ema import EmaConfig, ModelEma
from picoseek_training.optimization.schedules import ClassificationCosine, DetectionCosine

from golden.comparison import Comparison
from golden.golden_file import GoldenFile, NotCovered

EMA_KINDS: dict[str, Literal["threshold", "exponential", "normal"]] = {
    "thr": "threshold",
    "exp": "exponential",
    "normal": "normal",
}
DROPOUT = 0.2


def covers(file: GoldenFile) -> bool:
    return any(file.has(key) for key in ("clas_cosine", "det_cosine", "ema_in", "bn_in", "mom_w"))


def check(file: GoldenFile, comparison: Comparison) -> None:
    _check_schedules(file, comparison)
    if file.has("ema_in"):
        for key in file.arrays:
            match = re.fullmatch(r"ema_(.+)_decay_step", key)
            if match:
                _check_ema(match[1], file, comparison)
    if file.has("bn_in"):
        _check_batch_norm(file, comparison)
    if file.has("dropout_eval_scale"):
        _check_dropout(file, comparison)
    if file.has("mom_w0", "mom_x", "mom_w"):
        _check_momentum(file, comparison)


def _check_schedules(file: GoldenFile, comparison: Comparison) -> None:
    if file.has("clas_cosine"):
        arguments = file.meta["clas_cosine"]
        steps = arguments["step_each_epoch"]
        schedule = ClassificationCosine(arguments["lr"], arguments["warmup_epoch"] * steps, arguments["epochs"] * steps)
        expected = file.arrays["clas_cosine"]
        comparison.close("clas_cosine", np.array([schedule(step) for step in range(len(expected))]), expected, 1e-9)
    if file.has("det_cosine"):
        arguments = file.meta["det_cosine"]
        rates = DetectionCosine(
            arguments["base_lr"],
            arguments["warmup_steps"],
            arguments["max_epochs"] * arguments["step_per_epoch"],
            arguments["start_factor"],
        )
        expected = file.arrays["det_cosine"]
        comparison.close("det_cosine", np.array([rates(step) for step in range(len(expected))]), expected, 1e-9)


def _check_ema(name: str, file: GoldenFile, comparison: Comparison) -> None:
    kind = EMA_KINDS.get(name.split("_")[0])
    if kind is None:
        raise NotCovered(f"weight average {name}")
    trace, applied = file.arrays[f"ema_{name}_decay_step"], file.arrays[f"ema_{name}_applied"]
    updates = len(trace) // len(applied)
    restarts = np.flatnonzero(np.diff(trace[:, 1]) < 0)
    cycle = int(restarts[0] + 1) // updates if len(restarts) else -1
    config = EmaConfig(kind=kind, cycle=cycle, **({"decay": float(trace[0, 0])} if kind == "normal" else {}))
    average = ModelEma(config)
    decays, states = [], []
    for index, weight in enumerate(file.arrays["ema_in"]):
        average.update({"weight": weight})
        decays.append((average.decay, average.step))
        if (index + 1) % updates == 0:
            states.append(average.apply()["weight"])
    comparison.close(f"ema_{name}_decay_step", np.array(decays), trace, 1e-9)
    comparison.loss(f"ema_{name}_applied", np.array(states), applied)


def _check_batch_norm(file: GoldenFile, comparison: Comparison) -> None:
    neck = BNNeck(file.arrays["bn_in"].shape[1])
    neck.train()
    comparison.loss("bn_out", neck(paddle.to_tensor(file.arrays["bn_in"])).numpy(), file.arrays["bn_out"])
    comparison.loss("bn_running_mean", neck.feat_bn._mean.numpy(), file.arrays["bn_running_mean"])
    comparison.loss("bn_running_var", neck.feat_bn._variance.numpy(), file.arrays["bn_running_var"])


def _check_dropout(file: GoldenFile, comparison: Comparison) -> None:
    expected = file.arrays["dropout_eval_scale"]
    dropout = DownscaleInInferDropout(float(1.0 - expected[0]))
    dropout.eval()
    comparison.loss("dropout_eval_scale", dropout(paddle.ones([1, 1]))[0].numpy(), expected)
    dropout.train()
    values = np.unique(dropout(paddle.ones([1, 1000])).numpy())
    comparison.loss("dropout_train_values", values, np.sort(file.arrays["dropout_train_values"]))


def _check_momentum(file: GoldenFile, comparison: Comparison) -> None:
    match = re.search(r"lr ([\d.]+), momentum ([\d.]+), L2Decay\(([\d.]+)\)", str(file.meta["momentum"]))
    if match is None:
        raise NotCovered(f"optimiser steps of {file.meta['momentum']}")
    rate, momentum, decay = (float(value) for value in match.groups())
    layer = nn.Linear(*file.arrays["mom_w0"].shape, bias_attr=False)
    layer.weight.set_value(file.arrays["mom_w0"])
    config = OptimizerConfig(kind="momentum", rate=rate, momentum=momentum, weight_decay=decay, clip_norm=None)
    optimizer = make_optimizer(config, [layer.weight])
    inputs = paddle.to_tensor(file.arrays["mom_x"])
    for step, expected in enumerate(file.arrays["mom_w"]):
        layer(inputs).square().mean().backward()
        optimizer.step()
        optimizer.clear_grad()
        comparison.loss(f"mom_w[{step}]", layer.weight.numpy(), expected)
