"""State dicts in the format that torch wrote before version 1.6.

Such a file holds five pickles — a magic number, the format's version, facts of the machine, the state dict, the keys of
its storages — and then each storage: the count of its values as 8 bytes, and the values. A pickle can run any code, so
only the four globals that a state dict of float32 and int64 tensors needs are known here, and none of them is torch's.
"""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_ZIP = b"PK\x03\x04"
_FLOATS, _INTEGERS = "<f4", "<i8"

Array = NDArray[np.float32] | NDArray[np.int64]


class TorchCheckpointError(ValueError):
    """A file is no checkpoint of the known format, is damaged, or holds something else than tensors."""


class _Storage(NamedTuple):
    key: str
    dtype: str
    length: int
    """In values."""


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In values, like the offset."""


class _StateDict(OrderedDict[Any, Any]):
    def __setstate__(self, state: object) -> None:
        """Forget torch's remarks on the versions of layers."""


class _RebuildTensor:
    # Without a dictionary of its own, so that no pickle can change it.
    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> _Tensor:
        if not isinstance(storage, _Storage) or not _are_sizes(offset, *shape, *strides) or len(shape) != len(strides):
            raise TorchCheckpointError("one of its tensors has an impossible shape")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))


_GLOBALS: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): _StateDict,
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch", "FloatStorage"): _FLOATS,
    ("torch", "LongStorage"): _INTEGERS,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a known global."""
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise TorchCheckpointError(
                f"it asks for {module}.{name}, which a state dict of float32 tensors does not need; do not trust it"
            ) from None

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the storage that is referred to; its values follow later in the file."""
        kind, dtype, key, _location, length, view = pid
        if kind != "storage" or view is not None or dtype not in (_FLOATS, _INTEGERS) or not _are_sizes(length):
            raise TorchCheckpointError("it refers to something else than whole storages of float32 or int64")
        return _Storage(str(key), dtype, length)


def read_state_dict(path: Path) -> dict[str, Array]:
    """Return the tensors of a checkpoint by name.

    Raises:
        FileNotFoundError: there is no such file.
        TorchCheckpointError: it is no such checkpoint, is cut short, or asks for something else than tensors.
    """
    content = path.read_bytes()
    if content.startswith(_ZIP):
        raise TorchCheckpointError(
            f"{path} is in the format of torch 1.6 and later; save it with `_use_new_zipfile_serialization=False`"
        )
    try:
        return _read(io.BytesIO(content))
    except TorchCheckpointError as error:
        raise TorchCheckpointError(f"{path}: {error}") from error


def _read(file: BinaryIO) -> dict[str, Array]:
    if _unpickle(file) != _MAGIC:
        raise TorchCheckpointError("it is no torch checkpoint")
    if _unpickle(file) != _VERSION:
        raise TorchCheckpointError(f"it has another version than {_VERSION}")
    machine, tensors, keys = _unpickle(file), _unpickle(file), _unpickle(file)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise TorchCheckpointError("it was not written on a little-endian machine")
    if not isinstance(tensors, dict) or not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise TorchCheckpointError("it holds something else than a state dict; save `model.state_dict()` alone")
    values = _read_storages(file, {tensor.storage.key: tensor.storage for tensor in tensors.values()}, keys)
    return {str(name): _array(str(name), tensor, values[tensor.storage.key]) for name, tensor in tensors.items()}


def _unpickle(file: BinaryIO) -> Any:
    try:
        return _Unpickler(file).load()
    except TorchCheckpointError:
        raise
    except Exception as error:  # damaged pickles raise nearly everything
        raise TorchCheckpointError(f"it is damaged, or no torch checkpoint ({error}); fetch it again") from error


def _read_storages(file: BinaryIO, storages: dict[str, _Storage], keys: Any) -> dict[str, Array]:
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise TorchCheckpointError("its list of storages does not belong to its tensors")
    values: dict[str, Array] = {}
    for key in map(str, keys):
        storage = storages[key]
        size = storage.length * np.dtype(storage.dtype).itemsize
        header, content = file.read(8), file.read(size)
        if len(header) < 8 or len(content) < size:
            raise TorchCheckpointError("it is cut short; fetch it again")
        if int.from_bytes(header, "little") != storage.length:
            raise TorchCheckpointError(f"storage {key} has another length than its tensors say; fetch the file again")
        values[key] = np.frombuffer(content, storage.dtype)
    return values


def _array(name: str, tensor: _Tensor, values: Array) -> Array:
    shape, strides = tensor.shape, tensor.strides
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    size = math.prod(shape)
    if size > len(values) or (size and last >= len(values)):
        raise TorchCheckpointError(f"{name} reaches beyond its storage")
    if not size:
        return np.zeros(shape, values.dtype)
    in_bytes = [stride * values.itemsize for stride in strides]
    view: Any = np.lib.stride_tricks.as_strided(values[tensor.offset :], shape, in_bytes, writeable=False)
    copied: Array = view.copy()
    return copied


def _are_sizes(*numbers: object) -> bool:
    return all(isinstance(number, int) and number >= 0 for number in numbers)
