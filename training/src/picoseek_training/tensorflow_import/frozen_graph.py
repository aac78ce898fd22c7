"""Constants of a frozen TensorFlow graph.

A frozen graph is a serialised `tensorflow.GraphDef`. Only the few fields that hold constants are declared here;
Protobuf skips all others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from numpy.typing import NDArray

_FLOAT = 1
_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "picoseek_training.tensorflow_import"
# message -> (field name, number, type or message, repeated)
_MESSAGES: dict[str, list[tuple[str, int, int | str, bool]]] = {
    "Dimension": [("size", 1, _Field.TYPE_INT64, False)],
    "Shape": [("dim", 2, "Dimension", True)],
    "Tensor": [
        ("dtype", 1, _Field.TYPE_INT32, False),
        ("tensor_shape", 2, "Shape", False),
        ("tensor_content", 4, _Field.TYPE_BYTES, False),
        ("float_val", 5, _Field.TYPE_FLOAT, True),
    ],
    "Value": [("tensor", 8, "Tensor", False)],
    "Attribute": [("key", 1, _Field.TYPE_STRING, False), ("value", 2, "Value", False)],
    "Node": [
        ("name", 1, _Field.TYPE_STRING, False),
        ("op", 2, _Field.TYPE_STRING, False),
        ("attr", 5, "Attribute", True),
    ],
    "Graph": [("node", 1, "Node", True)],
}


class FrozenGraphError(ValueError):
    """A file is no frozen graph, or lacks what is asked for."""


def read_constants(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the float32 constants of a frozen graph by the names of their nodes.

    Raises:
        FileNotFoundError: there is no such file.
        FrozenGraphError: it is no frozen graph, or is cut short.
    """
    try:
        graph = _graph_message().FromString(path.read_bytes())
    except message.DecodeError as error:
        raise FrozenGraphError(f"{path} is no frozen TensorFlow graph: {error}") from error
    constants: dict[str, NDArray[np.float32]] = {}
    for node in graph.node:
        if node.op != "Const":
            continue
        for attribute in node.attr:
            if attribute.key == "value" and attribute.value.tensor.dtype == _FLOAT:
                constants[node.name] = _array(node.name, attribute.value.tensor)
    if not constants:
        raise FrozenGraphError(f"{path} holds no float32 constants; is it a frozen TensorFlow graph?")
    return constants


def _array(name: str, tensor: Any) -> NDArray[np.float32]:
    shape = tuple(dimension.size for dimension in tensor.tensor_shape.dim)
    if tensor.tensor_content:
        values = np.frombuffer(tensor.tensor_content, "<f4")
    else:
        values = np.array(tensor.float_val, np.float32)
        if len(values) == 1:  # a single value stands for all
            values = np.full(int(np.prod(shape)), values[0], np.float32)
    if values.size != int(np.prod(shape)):
        raise FrozenGraphError(f"constant {name} has {values.size} values for the shape {shape}")
    return values.reshape(shape)


def _graph_message() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="frozen_graph.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        declared = file.message_type.add(name=name)
        for field_name, number, kind, repeated in fields:
            field = declared.field.add(name=field_name, number=number)
            field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            if isinstance(kind, str):
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = kind  # type: ignore[assignment]  # an enum's value
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Graph"))
