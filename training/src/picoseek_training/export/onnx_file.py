"""From Paddle's inference files to ONNX, by Paddle2ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

OPSET = 17
"""ONNX Runtime since 1.12 and OpenVINO since 2022.3 know it."""


def write_onnx(program: Path, weights: Path, outputs: Sequence[str], target: Path) -> None:
    """Write an ONNX file with a dynamic batch; a detector's suppression allows only batches of one.

    Args:
        program: `inference.json`.
        weights: `inference.pdiparams`.
        outputs: What to call its outputs, in their order.
        target: The file.

    Raises:
        ValueError: Paddle2ONNX is not installed, or cannot translate the network.
    """
    try:
        # No dependency: it has wheels for few platforms, and asks for an onnx of 2024 that it does not need.
        import paddle2onnx
    except ImportError as error:
        raise ValueError(
            "ONNX files are written by Paddle2ONNX, which is not installed; "
            "python -m pip install --no-deps 'paddle2onnx>=2.1'"
        ) from error
    try:
        paddle2onnx.export(
            str(program),
            str(weights),
            str(target),
            opset_version=OPSET,
            enable_onnx_checker=True,
            optimize_tool=None,
        )
        model = onnx.load(str(target))
    except Exception as error:  # its errors are those of its C++ part
        raise ValueError(f"Paddle2ONNX cannot translate this network: {error}") from error
    _name_outputs(model.graph, outputs)
    _drop_unused(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def _name_outputs(graph: Any, names: Sequence[str]) -> None:
    renamed = {output.name: name for output, name in zip(graph.output, names, strict=True)}
    for node in graph.node:
        for tensors in (node.input, node.output):
            for index, tensor in enumerate(tensors):
                tensors[index] = renamed.get(tensor, tensor)
    for output in graph.output:
        output.name = renamed[output.name]


def _drop_unused(graph: Any) -> None:
    """Take out the constants that the translation left behind; engines warn of each."""
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
