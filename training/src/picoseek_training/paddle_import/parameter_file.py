"""The file of weights beside a program (`.pdiparams`): tensors one after the other, without their names.

Each is written as a version (uint32, 0), a count of sequence levels (uint64, 0), a version again, the length of a
Protobuf description (int32), the description, and the values.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from paddle.base.proto import framework_pb2

from picoseek_training.paddle_import.errors import PaddleFileError
from picoseek_training.weight_graph.graph import Array

# Its classes are made at run time.
_PROTO: Any = framework_pb2
_HEAD = struct.Struct("<IQIi")
_TYPES = {0: np.bool_, 1: np.int16, 2: np.int32, 3: np.int64, 4: np.float16, 5: np.float32, 6: np.float64}
_TYPES |= {20: np.uint8, 21: np.int8}


def read_parameters(path: Path) -> list[Array]:
    """Return the file's tensors in its order, which is that of their names.

    Raises:
        FileNotFoundError: There is no such file.
        PaddleFileError: It is damaged or of another format.
    """
    content, offset, tensors = path.read_bytes(), 0, list[Array]()
    while offset < len(content):
        try:
            tensor, offset = _read_tensor(content, offset)
        except PaddleFileError as error:
            raise PaddleFileError(f"{path}: {error}") from error
        tensors.append(tensor)
    return tensors


def _read_tensor(content: bytes, offset: int) -> tuple[Array, int]:
    if offset + _HEAD.size > len(content):
        raise PaddleFileError("it is cut short; fetch it again")
    version, levels, tensor_version, length = _HEAD.unpack_from(content, offset)
    if (version, levels, tensor_version) != (0, 0, 0) or length < 0:
        raise PaddleFileError("it is no file of an inference model's weights")
    start = offset + _HEAD.size
    description = _PROTO.VarType.TensorDesc()
    try:
        description.ParseFromString(content[start : start + length])
    except Exception as error:  # Protobuf's error class depends on its implementation
        raise PaddleFileError(f"it is damaged ({error}); fetch it again") from error
    if description.data_type not in _TYPES or min(description.dims, default=0) < 0:
        raise PaddleFileError(f"it holds a tensor of the unknown type {description.data_type}")
    dtype = np.dtype(_TYPES[description.data_type])
    size = int(np.prod(description.dims, dtype=object)) * dtype.itemsize
    end = start + length + size
    if end > len(content):
        raise PaddleFileError("it is cut short; fetch it again")
    return np.frombuffer(content[start + length : end], dtype).reshape(tuple(description.dims)), end
