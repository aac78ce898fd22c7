"""Outputs of inner layers, which recordings hold in part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from paddle import Tensor, nn

from golden.comparison import Comparison
from golden.golden_file import Array, GoldenFile

PREFIX, MEAN_PREFIX = "tap_", "tapmean_"


@contextmanager
def recorded(network: nn.Layer, names: set[str]) -> Iterator[dict[str, Any]]:
    """Keep the outputs of the named layers while the context is open."""
    outputs: dict[str, Any] = {}

    def keep(name: str, output: Any) -> None:
        outputs[name] = output

    handles = [
        layer.register_forward_post_hook(lambda _layer, _inputs, output, name=name: keep(name, output))
        for name, layer in network.named_sublayers()
        if name in names
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def corner(output: Tensor, expected: Array) -> Array:
    """The part of an output that a recording of the given shape holds: the first of every axis."""
    return np.asarray(output.numpy())[tuple(slice(0, size) for size in expected.shape)]


def tapped_layers(file: GoldenFile) -> set[str]:
    """Names of the layers that the file recorded."""
    return {
        key.removeprefix(prefix) for key in file.arrays for prefix in (PREFIX, MEAN_PREFIX) if key.startswith(prefix)
    }


def compare_taps(file: GoldenFile, outputs: dict[str, Any], comparison: Comparison) -> None:
    """Compare recorded layers with outputs by layer name."""
    for key, expected in file.arrays.items():
        for prefix in (PREFIX, MEAN_PREFIX):
            if not key.startswith(prefix):
                continue
            output = outputs.get(key.removeprefix(prefix))
            if output is None:
                comparison.failures.append(f"the network has no layer for {key}")
            elif prefix == PREFIX:
                comparison.output(key, corner(output, expected), expected)
            else:
                # A mean over a million values of alternating sign is much smaller than they are.
                comparison.close(key, np.asarray(output.numpy(), np.float64).mean(), expected, atol=1e-5, rtol=1e-4)
