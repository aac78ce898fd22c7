"""From the layers of a file into those of a network, in order of execution."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from paddle import Tensor, nn

from picoseek_training.weight_graph.weighted_layers import NormWeights, WeightedLayer
from picoseek_training.weight_import.execution import LayerStep, run_on_pictures
from picoseek_training.weight_import.folded_norms import Floats, assign_norm, restore_statistics, set_folded


def differences(steps: Sequence[LayerStep], layers: Sequence[WeightedLayer]) -> list[str]:
    """Say how the layers of a file differ from those of a network in number, kind or shape; nothing if they do not."""
    found = [
        f"{step.name} has the shape {_shape(step)}, {layer.name} {_layer_shape(layer)}"
        for step, layer in zip(steps, layers, strict=False)
        if _shape(step) != _layer_shape(layer)
    ]
    found += [f"missing {step.name} {_shape(step)}" for step in steps[len(layers) :]]
    found += [f"extra {layer.name} {_layer_shape(layer)}" for layer in layers[len(steps) :]]
    return found


def fill(
    network: nn.Layer, steps: Sequence[LayerStep], layers: Sequence[WeightedLayer], images: Sequence[Tensor]
) -> int:
    """Copy the layers of a file into a network; afterwards it computes in evaluation what the file computes.

    Where the file has folded a BatchNorm into its convolution, the BatchNorm gets the statistics of `images`; without
    any it stays what it does not change: mean 0 and variance 1.

    Args:
        network: What the steps belong to.
        steps: Its layers in order of execution.
        layers: Those of the file, without `differences`.
        images: Batches [N, 3, H, W] of normalised real pictures; a hundred give stable statistics.

    Returns:
        The number of BatchNorm layers that the file had folded.

    Raises:
        ValueError: The layers differ.
    """
    if found := differences(steps, layers):
        raise ValueError("; ".join(found[:5]))
    folded: list[tuple[nn.BatchNorm2D, Floats]] = []
    for step, layer in zip(steps, layers, strict=True):
        if isinstance(step.layer, nn.BatchNorm1D):
            assert layer.norm is not None
            _set_norm(step.layer, layer.norm)
            continue
        assert isinstance(step.layer, nn.Conv2D | nn.Linear) and layer.weight is not None
        step.layer.weight.set_value(layer.weight)
        bias = np.zeros(layer.weight.shape[_outputs(step.layer)], np.float32) if layer.bias is None else layer.bias
        if layer.norm is not None and step.norm is not None:
            # A bias before a BatchNorm moves its mean.
            norm = layer.norm
            moved = norm.mean if step.layer.bias is not None else norm.mean - bias
            _set_norm(step.norm, NormWeights(norm.scale, norm.shift, moved, norm.variance))
        elif step.norm is not None:
            set_folded(step.norm, bias)
            folded.append((step.norm, bias))
        if step.layer.bias is not None:
            step.layer.bias.set_value(bias if step.norm is None or layer.norm is not None else np.zeros_like(bias))
    if folded and images:
        network.eval()
        restore_statistics(partial(run_on_pictures, network), folded, images)
    return len(folded)


def _shape(step: LayerStep) -> tuple[int, ...]:
    if isinstance(step.layer, nn.BatchNorm1D):
        return (step.layer._num_features,)
    assert isinstance(step.layer, nn.Conv2D | nn.Linear)
    return tuple(step.layer.weight.shape)


def _layer_shape(layer: WeightedLayer) -> tuple[int, ...]:
    if layer.weight is not None:
        return layer.weight.shape
    assert layer.norm is not None
    return layer.norm.scale.shape


def _outputs(layer: nn.Layer) -> int:
    return 1 if isinstance(layer, nn.Linear) else 0


def _set_norm(norm: nn.BatchNorm2D | nn.BatchNorm1D, weights: NormWeights) -> None:
    assign_norm(norm, mean=weights.mean, variance=weights.variance, weight=weights.scale, bias=weights.shift)
