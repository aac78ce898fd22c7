"""Classifiers and recognition models."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import paddle
from paddle import Tensor, nn
from picoseek_training.networks.recognition import RecModel
from picoseek_training.networks.registry import create, default_config, names
from picoseek_training.networks.reparameterisation import re_parameterize

from golden.comparison import Comparison
from golden.golden_file import GoldenFile, NotCovered
from golden.taps import compare_taps, recorded, tapped_layers
from golden.weight_rule import fill_network, network_input


def covers(file: GoldenFile) -> bool:
    return "PPLCNet" in str(file.meta.get("model", ""))


def check(file: GoldenFile, comparison: Comparison) -> None:
    network = _build(file)
    fill_network(network, file.meta)
    image = paddle.to_tensor(network_input(file.meta["seed"], file.meta["shape"]))
    if file.in_training_mode:
        _check_layers_in_training(file, network, image, comparison)
        return
    network.eval()
    with paddle.no_grad():
        with recorded(network, tapped_layers(file)) as layers:
            outputs = _outputs(network, image)
        compare_taps(file, layers, comparison)
        if file.has("label", "logits_train"):
            outputs["logits_train"] = _training_logits(network, outputs["features"], file)
        re_parameterize(network)
        outputs |= {f"{key}_rep": value for key, value in _outputs(network, image).items()}
    for key, value in outputs.items():
        if key in file.arrays:
            comparison.output(key, value.numpy(), file.arrays[key])
    _compare_fused(file, network, comparison)


def _check_layers_in_training(file: GoldenFile, network: nn.Layer, image: Tensor, comparison: Comparison) -> None:
    """Compare inner layers only: what follows the dropout depends on its mask."""
    network.train()
    with paddle.no_grad(), recorded(network, tapped_layers(file)) as layers:
        network(image)
    compare_taps(file, layers, comparison)


def _outputs(network: nn.Layer, image: Tensor) -> dict[str, Tensor]:
    if not isinstance(network, RecModel):
        return {"logits": network(image)}
    output = network(image)
    unit = output.features / output.features.square().sum(axis=1, keepdim=True).sqrt()
    outputs = {"backbone": output.backbone, "features": output.features, "features_l2": unit}
    if output.logits is not None:
        outputs |= {"logits": output.logits, "logits_eval": output.logits}
    return outputs


def _training_logits(network: nn.Layer, features: Tensor, file: GoldenFile) -> Tensor:
    """What a margin head makes of the same features while training."""
    assert isinstance(network, RecModel) and network.head is not None
    network.head.train()
    logits = network.head(features, paddle.to_tensor(file.arrays["label"]))
    network.head.eval()
    return logits


def _compare_fused(file: GoldenFile, network: nn.Layer, comparison: Comparison) -> None:
    layers = dict(network.named_sublayers())
    for key, expected in file.arrays.items():
        match = re.fullmatch(r"rep_([wb])_(.+)", key)
        if match:
            by_name = {name.replace(".", "_"): layer for name, layer in layers.items()}
            block: Any = by_name[match[2]]
            fused = block.dw_conv.weight if match[1] == "w" else block.dw_conv.bias
            comparison.output(key, fused.numpy(), expected)


def _build(file: GoldenFile) -> nn.Layer:
    name = str(file.meta["model"])
    if name.startswith("RecModel("):
        return _recognition_model(name, file)
    return create(_known(name), num_classes=int(file.arrays["logits"].shape[1]))


def _recognition_model(name: str, file: GoldenFile) -> nn.Layer:
    match = re.search(r"PPLCNet(V2)?_\w+", name)
    if match is None:
        raise NotCovered(f"no recognition model of ours is called {name}")
    model = "general_recognition_v2" if match[1] else "general_recognition_v1"
    size = default_config(_known(match[0]))
    shape = {"scale": size.scale} | ({"depths": size.depths} if match[1] else {})
    return create(
        model,
        backbone=replace(default_config(model).backbone, **shape),
        dimension=int(file.arrays["features"].shape[1]),
        num_classes=_class_count(name, file),
    )


def _known(name: str) -> str:
    """Our name of an official network."""
    if name.lower() not in names():
        raise NotCovered(f"no network of ours is called {name}")
    return name.lower()


def _class_count(name: str, file: GoldenFile) -> int:
    for key in ("logits", "logits_eval", "logits_train"):
        if key in file.arrays:
            return int(file.arrays[key].shape[1])
    match = re.search(r"class_num=(\d+)", name)
    if match is None:
        raise NotCovered("the number of classes is not recorded")
    return int(match[1])
