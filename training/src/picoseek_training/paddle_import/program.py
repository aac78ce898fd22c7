"""Inference programs of Paddle, in the new format (`.json`) and the old one (`.pdmodel`), as graphs.

Both files are descriptions that are parsed here; nothing of them is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddle.base.proto import framework_pb2

from picoseek_training.paddle_import.errors import PaddleFileError
from picoseek_training.paddle_import.parameter_file import read_parameters
from picoseek_training.weight_graph.graph import Array, Graph, Kind, Node

# Its classes are made at run time.
_PROTO: Any = framework_pb2
PROGRAM_SUFFIXES = (".json", ".pdmodel")
# Named LOD_TENSOR before Paddle 3 and DENSE_TENSOR since.
_TENSOR = 7
_RESHAPES = ("reshape", "reshape_", "reshape2", "cast", "squeeze2", "unsqueeze2", "squeeze", "unsqueeze", "assign")
_KINDS = {
    **dict.fromkeys(("conv2d", "depthwise_conv2d"), Kind.CONVOLUTION),
    **dict.fromkeys(("batch_norm", "batch_norm_"), Kind.NORM),
    **dict.fromkeys(("matmul", "matmul_v2", "mul"), Kind.LINEAR),
    **dict.fromkeys(("add", "add_", "elementwise_add"), Kind.ADD),
    **dict.fromkeys(_RESHAPES, Kind.RESHAPE),
}
_OLD_INPUTS = {
    Kind.CONVOLUTION: ("Input", "Filter"),
    Kind.NORM: ("X", "Scale", "Bias", "Mean", "Variance"),
    Kind.LINEAR: ("X", "Y"),
    Kind.ADD: ("X", "Y"),
    Kind.RESHAPE: ("X",),
}


def find_program(folder: Path) -> tuple[Path, Path]:
    """Return the program and the weights in an inference folder.

    Raises:
        PaddleFileError: There are none, or more than one.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist")
    programs = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix in PROGRAM_SUFFIXES and file.with_suffix(".pdiparams").is_file()
    ]
    if len(programs) != 1:
        found = ", ".join(file.name for file in programs) or "none"
        raise PaddleFileError(
            f"{folder} must hold one program (.json or .pdmodel) with its weights (.pdiparams) beside it; found {found}"
        )
    return programs[0], programs[0].with_suffix(".pdiparams")


def read_program(program: Path, weights: Path) -> Graph:
    """Read an inference model.

    Args:
        program: The `.json` or `.pdmodel` file.
        weights: The `.pdiparams` file.

    Raises:
        FileNotFoundError: A file is missing.
        PaddleFileError: A file is damaged or of another format, or the two do not belong together.
    """
    content = program.read_bytes()
    try:
        nodes, names, inputs, factors = _read_new(content) if program.suffix == ".json" else _read_old(content)
    except PaddleFileError:
        raise
    except Exception as error:  # what a damaged description raises is beyond listing
        raise PaddleFileError(f"{program} is damaged or no program of Paddle's ({error!r})") from error
    tensors = read_parameters(weights)
    if len(tensors) != len(names):
        raise PaddleFileError(f"{weights} has {len(tensors)} tensors, {program.name} names {len(names)}")
    constants: dict[str, Array] = dict(zip(sorted(names), tensors, strict=True))
    wrong = [name for name, shape in names.items() if tuple(shape) != constants[name].shape]
    if wrong:
        raise PaddleFileError(f"{weights} does not belong to {program.name}: {wrong[0]} has another shape")
    for node in nodes:
        # Here a single number that is added is a bias; in other formats it may belong to an activation.
        for name in node.inputs if node.kind is Kind.ADD else ():
            if name in constants and constants[name].shape == (1,):
                constants[name] = constants[name].reshape(1, 1, 1, 1)
    return Graph(tuple(nodes), constants, inputs, factors)


_Content = tuple[list[Node], dict[str, Sequence[int]], dict[str, tuple[int, ...]], frozenset[float]]


def _read_new(content: bytes) -> _Content:
    document = json.loads(content)
    if document.get("base_code", {}).get("magic") != "pir":
        raise PaddleFileError("the .json file is no program of Paddle's")
    operations = document["program"]["regions"][0]["blocks"][0]["ops"]
    nodes: list[Node] = []
    names: dict[str, Sequence[int]] = {}
    inputs: dict[str, tuple[int, ...]] = {}
    tensors: dict[int, str] = {}
    constants: dict[int, str] = {}
    factors: set[float] = set()
    for operation in operations:
        outputs = operation["O"] if isinstance(operation["O"], list) else [operation["O"]]
        kind = operation["#"].split(".", 1)[-1]
        if kind == "p":
            name = str(operation["A"][3])
            names[name] = _new_shape(outputs[0])
            tensors[outputs[0]["%"]] = name
            continue
        for output in outputs:
            tensors[output["%"]] = f"%{output['%']}"
        if kind == "full":
            constants[outputs[0]["%"]] = _new_attribute(operation, "value")
        elif kind in ("scale", "dropout"):
            amounts = [constants[each["%"]] for each in operation["I"] if each["%"] in constants]
            mode = _new_attribute(operation, "mode") if kind == "dropout" else ""
            factors.update(_factor(kind, mode, float(amount)) for amount in amounts[:1])
        if kind == "data":
            inputs[_new_attribute(operation, "name")] = tuple(_new_shape(outputs[0]))
        if outputs:
            known = _KINDS.get(kind, Kind.OTHER)
            arguments = [tensors.get(each["%"], "") for each in operation["I"]]
            if known is Kind.NORM:
                picture, mean, variance, scale, shift = arguments[:5]
                arguments = [picture, scale, shift, mean, variance]
            nodes.append(Node(known, tuple(arguments), tensors[outputs[0]["%"]], kind))
    return nodes, names, inputs, frozenset(factors)


def _factor(kind: str, mode: str, value: float) -> float:
    """Return what a `scale` or a `dropout` multiplies by in evaluation."""
    if kind == "scale":
        return value
    return 1.0 if mode == "upscale_in_train" else 1.0 - value


def _new_shape(output: Mapping[str, Any]) -> Sequence[int]:
    shape: Sequence[int] = output["TT"]["D"][1]
    return shape


def _new_attribute(operation: Mapping[str, Any], name: str) -> str:
    return str(next(each["AT"]["D"] for each in operation["A"] if each["N"] == name))


def _read_old(content: bytes) -> _Content:
    block = _PROTO.ProgramDesc.FromString(content).blocks[0]
    feeds = [operation.outputs[0].arguments[0] for operation in block.ops if operation.type == "feed"]
    names: dict[str, Sequence[int]] = {}
    inputs: dict[str, tuple[int, ...]] = {}
    for variable in block.vars:
        if variable.type.type != _TENSOR:
            continue
        shape = tuple(_old_tensor(variable.type).tensor.dims)
        if variable.persistable:
            names[variable.name] = shape
        elif variable.name in feeds:
            inputs[variable.name] = shape
    nodes: list[Node] = []
    factors: set[float] = set()
    for operation in block.ops:
        if operation.type in ("scale", "dropout"):
            attributes = {each.name: each for each in operation.attrs}
            amount = attributes["scale" if operation.type == "scale" else "dropout_prob"].f
            mode = attributes["dropout_implementation"].s if "dropout_implementation" in attributes else ""
            factors.add(_factor(operation.type, mode, amount))
        outputs = [name for each in operation.outputs for name in each.arguments if each.parameter in ("Out", "Output")]
        kind = _KINDS.get(operation.type, Kind.OTHER)
        if kind is Kind.NORM:
            outputs = [name for each in operation.outputs for name in each.arguments if each.parameter == "Y"]
        arguments = {each.parameter: list(each.arguments) for each in operation.inputs}
        wanted = _OLD_INPUTS.get(kind, tuple(arguments))
        flat = [name for parameter in wanted for name in arguments.get(parameter, [])]
        if outputs:
            nodes.append(Node(kind, tuple(flat), outputs[0], operation.type))
    return nodes, names, inputs, frozenset(factors)


def _old_tensor(kind: Any) -> Any:
    return kind.dense_tensor if hasattr(kind, "dense_tensor") else kind.lod_tensor
