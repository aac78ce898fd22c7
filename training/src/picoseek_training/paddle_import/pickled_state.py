"""What `paddle.save` writes, state dicts (`.pdparams`) above all: a pickle of NumPy arrays by name.

A pickle can run any code, so only the few globals that arrays of numbers need are known here, and what they make is
checked before it is used.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from picoseek_training.paddle_import.errors import PaddleFileError
from picoseek_training.weight_graph.graph import Array

_NAMES = "StructuredToParameterName@@"
_BIG = "UnpackBigParamInfor@@"
_NUMBERS = "fiub"


class _Array:
    """A NumPy array that is being unpickled."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Array | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        self.value = _array(shape, dtype, content, "F" if fortran else "C")


class _DType:
    """A NumPy type of plain numbers."""

    __slots__ = ("value",)

    def __init__(self, name: Any, *_: Any) -> None:
        self.value = np.dtype(str(name))
        if self.value.kind not in _NUMBERS:
            raise PaddleFileError(f"it holds values of type {name!r}, which are no plain numbers")

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


def _array(shape: Any, dtype: Any, content: Any, order: Any) -> Array:
    if not isinstance(dtype, _DType) or not isinstance(content, bytes | bytearray):
        raise PaddleFileError("it holds something else than arrays of numbers")
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise PaddleFileError("one of its arrays has an impossible shape")
    values = np.frombuffer(bytes(content), dtype.value)
    if values.size != int(np.prod(shape, dtype=object)):
        raise PaddleFileError("one of its arrays has another length than its shape says")
    return values.reshape(shape, order="F" if order == "F" else "C").astype(dtype.value.newbyteorder("="))


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _frombuffer(content: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    return _array(shape, dtype, content, order)


def _scalar(dtype: Any, content: Any) -> Any:
    return _array((), dtype, content, "C")[()]


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise PaddleFileError("it holds text where an array's bytes should be")
    return text.encode("latin1")


def _empty_bytes(*_: Any) -> bytes:
    return b""


_GLOBALS: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "tuple"): tuple,
    ("__builtin__", "tuple"): tuple,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _empty_bytes,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
}
for _core in ("numpy.core", "numpy._core"):
    _GLOBALS[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _GLOBALS[f"{_core}.multiarray", "scalar"] = _scalar
    _GLOBALS[f"{_core}.numeric", "_frombuffer"] = _frombuffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a known global."""
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise PaddleFileError(f"it asks for {module}.{name}, which tensors do not need; do not trust it") from None

    def persistent_load(self, pid: Any) -> Any:
        """Refuse: files of Paddle's refer to nothing outside of themselves."""
        raise PaddleFileError("it refers to something outside of itself; do not trust it")


def read_plain_pickle(path: Path) -> object:
    """Return what a file of `paddle.save` holds: plain values and NumPy arrays, in dicts, lists and tuples.

    Single tensors, which Paddle writes as pairs of a name and values, are arrays. Nothing in the file is run.

    Raises:
        FileNotFoundError: There is no such file.
        PaddleFileError: It is damaged, or asks for something else than plain values and arrays of numbers.
    """
    with path.open("rb") as file:
        try:
            return _plain(_Unpickler(file, encoding="latin1").load())
        except PaddleFileError as error:
            raise PaddleFileError(f"{path}: {error}") from error
        except Exception as error:  # damaged pickles raise nearly everything
            raise PaddleFileError(f"{path}: it is damaged, or was not written by Paddle ({error})") from error


def read_pdparams(path: Path) -> dict[str, Array]:
    """Return the tensors of a `.pdparams` file by name.

    Raises:
        FileNotFoundError: There is no such file.
        PaddleFileError: It is no state dict, is damaged, or asks for something else than arrays of numbers.
    """
    content = read_plain_pickle(path)
    if not isinstance(content, dict):
        raise PaddleFileError(f"{path}: it holds no state dict; save `model.state_dict()` alone")
    if _BIG in content:
        raise PaddleFileError(f"{path}: its tensors are cut into parts of 1 GiB, which is not supported")
    tensors = {str(name): _tensor(path, str(name), value) for name, value in content.items() if name != _NAMES}
    if not tensors:
        raise PaddleFileError(f"{path}: it holds no tensor")
    return tensors


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        if value.value is None:
            raise PaddleFileError("one of its arrays has no values")
        return value.value
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, tuple):
        parts = tuple(_plain(part) for part in value)
        is_tensor = len(parts) == 2 and isinstance(parts[0], str) and isinstance(parts[1], np.ndarray)
        return parts[1] if is_tensor else parts
    if value is None or isinstance(value, str | bytes | bool | int | float | np.ndarray | np.generic):
        return value
    raise PaddleFileError(f"it holds a {type(value).__name__}, which is neither a plain value nor an array")


def _tensor(path: Path, name: str, value: object) -> Array:
    if not isinstance(value, np.ndarray):
        raise PaddleFileError(f"{path}: {name} is no tensor; save `model.state_dict()` alone")
    return value
