"""Which network a file holds, by the names and shapes in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import paddle
from paddle import nn

from picoseek_training.networks import registry
from picoseek_training.weight_graph.weighted_layers import WeightedLayer
from picoseek_training.weight_import.candidates import (
    NetworkChoice,
    Shape,
    state_shapes,
    told_dropout,
    told_settings,
    variants,
)
from picoseek_training.weight_import.execution import LayerStep, trace_layers
from picoseek_training.weight_import.filling import differences

_LISTED = 8
_TRIED = 6
_TRACE_SIDE = 64


class UnknownNetworkError(ValueError):
    """A file holds none of the known networks, or not the one that was named; the message lists the differences."""


def recognise_state(shapes: Mapping[str, Shape], names: Sequence[str]) -> NetworkChoice:
    """Return the network to which a state dict belongs.

    Args:
        shapes: Shapes by name.
        names: Networks that come into question, see `registry.names`.

    Raises:
        UnknownNetworkError: It belongs to none of them.
    """
    nearest: tuple[list[str], NetworkChoice] | None = None
    for name in names:
        choice = told_settings(NetworkChoice(name), shapes)
        if choice.family == "pplcnetv2" and not any(".dw_conv_list.1." in key for key in shapes):
            choice = choice.with_settings({"branches": "largest"})
        found = _state_differences(state_shapes(choice), shapes)
        if not found:
            return choice
        if nearest is None or len(found) < len(nearest[0]):
            nearest = found, choice
    raise _unknown(nearest)


def recognise_layers(
    layers: Sequence[WeightedLayer], names: Sequence[str], factors: Collection[float]
) -> tuple[NetworkChoice, nn.Layer, list[LayerStep]]:
    """Return the network whose layers a file lists, built, with its layers in order of execution.

    Args:
        layers: What runs in the file, in order.
        names: Networks that come into question.
        factors: Numbers by which the file multiplies whole tensors.

    Raises:
        UnknownNetworkError: It is none of them.
    """
    shapes = [layer.weight.shape for layer in layers if layer.kind == "convolution" and layer.weight is not None]
    if not shapes:
        raise UnknownNetworkError("the file holds no convolution with constant weights")
    choices = [choice for name in names for choice in variants(name)]
    choices.sort(key=lambda choice: _distance(state_shapes(choice), shapes))
    nearest: tuple[list[str], NetworkChoice] | None = None
    for choice in choices[:_TRIED]:
        fitted, network, steps = _fitted(choice, layers, factors)
        found = differences(steps, layers)
        if not found:
            return fitted, network, steps
        if nearest is None or len(found) < len(nearest[0]):
            nearest = found, fitted
    raise _unknown(nearest)


def all_names(network: str | None) -> list[str]:
    """Return the names that come into question: all, or the one that was given.

    Raises:
        ValueError: No network has this name; the message suggests near ones.
    """
    if network is None:
        return registry.names()
    registry.default_config(network)
    return [network]


def _fitted(
    choice: NetworkChoice, layers: Sequence[WeightedLayer], factors: Collection[float]
) -> tuple[NetworkChoice, nn.Layer, list[LayerStep]]:
    """Build the choice with the settings that the layers and factors tell."""
    network = choice.build()
    steps = trace_layers(network, paddle.zeros([1, 3, _TRACE_SIDE, _TRACE_SIDE]))
    if len(steps) != len(layers):
        return choice, network, steps
    shapes: dict[str, Shape] = {}
    state = network.state_dict()
    for step, layer in zip(steps, layers, strict=True):
        if layer.weight is not None:
            shapes[f"{step.name}.weight"] = layer.weight.shape
        elif layer.norm is not None:
            shapes[f"{step.name}.weight"] = layer.norm.scale.shape
    # Official files name some layers twice, and a layer is traced under one of its names.
    identities = {id(tensor): name for name, tensor in state.items() if name in shapes}
    shapes |= {name: shapes[identities[id(tensor)]] for name, tensor in state.items() if id(tensor) in identities}
    fitted = told_dropout(told_settings(choice, shapes), network, factors)
    if fitted == choice:
        return choice, network, steps
    network = fitted.build()
    return fitted, network, trace_layers(network, paddle.zeros([1, 3, _TRACE_SIDE, _TRACE_SIDE]))


def _distance(state: Mapping[str, Shape], shapes: Sequence[Shape]) -> int:
    """Number of kernels that only one side has."""
    left: dict[Shape, int] = {}
    for shape in state.values():
        if len(shape) == 4:
            left[shape] = left.get(shape, 0) + 1
    right: dict[Shape, int] = {}
    for shape in shapes:
        right[shape] = right.get(shape, 0) + 1
    return sum(abs(left.get(shape, 0) - right.get(shape, 0)) for shape in {*left, *right})


def _state_differences(expected: Mapping[str, Shape], actual: Mapping[str, Shape]) -> list[str]:
    found = [
        f"{name} has the shape {expected[name]}, the file's is {actual[name]}"
        for name in expected
        if name in actual and actual[name] != expected[name]
    ]
    found += [f"missing {name} {shape}" for name, shape in expected.items() if name not in actual]
    found += [f"extra {name} {shape}" for name, shape in actual.items() if name not in expected]
    return found


def _unknown(nearest: Any) -> UnknownNetworkError:
    found, choice = nearest
    listed = "; ".join(found[:_LISTED]) + ("; …" if len(found) > _LISTED else "")
    return UnknownNetworkError(
        "the file holds no network that is known here; "
        f"nearest is {choice.name}, with {len(found)} differences: {listed}"
    )
