"""Losses with their gradients, by class and arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import paddle
from paddle import Tensor
from picoseek_training.losses import classification, detection, distillation, hashing, triplet

from golden.comparison import Comparison
from golden.golden_file import GoldenFile, NotCovered

MODULES = (classification, detection, distillation, hashing, triplet)
RENAMED_ARGUMENTS = {"_lambda": "quantisation_weight"}
UNUSED_ARGUMENTS = {"n_class"}
RENAMED_INPUTS = {"gt": "target", "teacher_logits": "target"}


def covers(file: GoldenFile) -> bool:
    return bool(file.meta) and all(isinstance(case, dict) and "cls" in case for case in file.meta.values())


def check(file: GoldenFile, comparison: Comparison) -> None:
    missing: set[str] = set()
    for name, case in file.meta.items():
        try:
            _check_case(name, case, file, comparison)
        except NotCovered as reason:
            missing.add(str(reason))
    if missing:
        raise NotCovered("; ".join(sorted(missing)))


def _check_case(name: str, case: dict[str, Any], file: GoldenFile, comparison: Comparison) -> None:
    kind = str(case["cls"]).split(" ")[0]
    loss = _build(kind, case.get("args", {}))
    inputs = {
        key.removeprefix(f"{name}/in_"): paddle.to_tensor(value)
        for key, value in file.arrays.items()
        if key.startswith(f"{name}/in_")
    }
    if case.get("uses_weight") is False:
        inputs.pop("weight", None)
    wanted = {
        key.removeprefix(f"{name}/grad_"): value
        for key, value in file.arrays.items()
        if key.startswith(f"{name}/grad_")
    }
    for key in wanted:
        inputs[key].stop_gradient = False
    value = None
    for step, arguments in _calls(inputs):
        value = loss(**_bound(loss, arguments), **case.get("call", {}))
        expected = file.arrays.get(f"{name}/loss{step}")
        if expected is not None:
            comparison.loss(f"{name}/loss{step}", value.numpy(), expected)
    assert value is not None
    comparison.loss(f"{name}/loss", value.numpy(), file.arrays[f"{name}/loss"])
    value.sum().backward()
    for key, expected in wanted.items():
        gradient = inputs[key].grad
        comparison.loss(f"{name}/grad_{key}", (0.0 * inputs[key] if gradient is None else gradient).numpy(), expected)


def _calls(inputs: dict[str, Tensor]) -> list[tuple[str, dict[str, Tensor]]]:
    """Arguments of each call; a loss with a memory is called once a recorded step."""
    steps = sorted({f"_{key.rsplit('_', 1)[-1]}" for key in inputs if "_step" in key})
    if not steps:
        return [("", inputs)]
    shared = {key: value for key, value in inputs.items() if "_step" not in key}
    return [
        (step, shared | {key.removesuffix(step): value for key, value in inputs.items() if key.endswith(step)})
        for step in steps
    ]


def _bound(loss: Callable[..., Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inputs by the names of the loss's own parameters."""
    parameters = inspect.signature(loss).parameters
    bound: dict[str, Tensor] = {}
    for key, value in inputs.items():
        name = RENAMED_INPUTS.get(key, key)
        if name == "label" and "label" not in parameters:
            name = "target"
        bound[name] = value
    return bound


def _build(kind: str, arguments: dict[str, Any]) -> Callable[..., Tensor]:
    arguments = {
        RENAMED_ARGUMENTS.get(key, key): value for key, value in arguments.items() if key not in UNUSED_ARGUMENTS
    }
    if kind == "TripletAngularMarginLoss_XBM":
        memory = {key: arguments.pop(key) for key in ("start_iter", "xbm_size", "xbm_weight", "feat_dim")}
        return triplet.TripletAngularMarginLossXBM(**memory, loss=triplet.TripletAngularMarginLoss(**arguments))
    for module in MODULES:
        if hasattr(module, kind):
            loss: Callable[..., Tensor] = getattr(module, kind)(**arguments)
            return loss
    raise NotCovered(f"no loss of ours is called {kind}")
