"""Checkpoints of torch: read without torch, and nothing in them is run."""

from __future__ import annotations

import contextlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from picoseek_training.networks.efficientnet_lite import EFFICIENTNET_LITE_CONFIGS, EfficientNetLite
from picoseek_training.torch_import import TorchCheckpointError, load_efficientnet_lite, read_state_dict

START = b"".join(
    pickle.dumps(part, 2)
    for part in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}})
)


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _integers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"


def _tensor(
    name: str, key: str, length: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0
) -> bytes:
    storage = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text(key) + _text("cpu")
    storage += b"J" + struct.pack("<i", length) + b"NtQ"
    arguments = b"(" + storage + b"J" + struct.pack("<i", offset) + _integers(shape) + _integers(strides)
    hooks = b"\x89ccollections\nOrderedDict\n)R"
    return _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + hooks + b"tR"


def _checkpoint(tensors: bytes, storages: dict[str, list[float]]) -> bytes:
    """A state dict as torch writes it, with an attribute that has to be passed over."""
    remark = b"}" + _text("_metadata") + b"}sb"
    state = b"\x80\x02ccollections\nOrderedDict\n)R(" + tensors + b"u" + remark + b"."
    values = b"".join(
        struct.pack("<q", len(numbers)) + np.array(numbers, "<f4").tobytes() for numbers in storages.values()
    )
    return START + state + pickle.dumps(list(storages), 2) + values


TINY = _checkpoint(
    _tensor("weight", "a", 6, (3, 2), (1, 3)) + _tensor("bias", "b", 4, (2,), (1,), offset=1),
    {"b": [9, 7, 8, 9], "a": [1, 2, 3, 4, 5, 6]},
)


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "weights.pth"
    path.write_bytes(content)
    return path


def test_tensors_come_out_by_name_with_their_strides_and_offsets(tmp_path: Path) -> None:
    tensors = read_state_dict(_written(tmp_path, TINY))
    assert list(tensors) == ["weight", "bias"]
    np.testing.assert_array_equal(tensors["weight"], [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(tensors["bias"], [7, 8])


@pytest.mark.parametrize("name", ["os\nsystem", "builtins\neval", "torch.nn\nLinear", "torch\nload"])
def test_a_global_that_tensors_do_not_need_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    traitor = tmp_path / "was-here"
    call = b"\x80\x02c" + name.encode() + b"\n(" + _text(f"touch {traitor}") + b"tR."
    with pytest.raises(TorchCheckpointError, match=name.replace("\n", r"\.")):
        read_state_dict(_written(tmp_path, START + call))
    assert not traitor.exists()


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    for length in range(len(TINY)):
        with pytest.raises(TorchCheckpointError, match=r"fetch|no torch checkpoint"):
            read_state_dict(_written(tmp_path, TINY[:length]))


def test_damage_anywhere_is_an_error_of_ours_or_another_number(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(TINY)
        content[rng.integers(len(content))] = rng.integers(256)
        with contextlib.suppress(TorchCheckpointError):
            read_state_dict(_written(tmp_path, bytes(content)))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (_tensor("w", "a", 2, (3,), (1,)), "w reaches beyond its storage"),
        (_tensor("w", "a", 2, (1,), (1,), offset=2), "w reaches beyond its storage"),
        (_tensor("w", "a", 2, (1000000, 1000000), (0, 0)), "w reaches beyond its storage"),
        (_tensor("w", "a", 2, (-1,), (1,)), "impossible shape"),
        (_tensor("w", "a", 2, (2,), (1, 1)), "impossible shape"),
        (_tensor("w", "a", 3, (2,), (1,)), "cut short|another length"),
        (_text("w") + b"J\x01\x00\x00\x00", "something else than a state dict"),
    ],
)
def test_tensors_that_cannot_be_are_refused(tmp_path: Path, tensor: bytes, message: str) -> None:
    with pytest.raises(TorchCheckpointError, match=message):
        read_state_dict(_written(tmp_path, _checkpoint(tensor, {"a": [1, 2]})))


def test_the_newer_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(TorchCheckpointError, match="_use_new_zipfile_serialization=False"):
        read_state_dict(_written(tmp_path, b"PK\x03\x04 and so on"))


def test_the_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    network = EfficientNetLite(EFFICIENTNET_LITE_CONFIGS["efficientnet_lite0"])
    before = network.stem.conv.weight.numpy().copy()
    with pytest.raises(TorchCheckpointError, match="holds another network"):
        load_efficientnet_lite(_written(tmp_path, TINY), network)
    np.testing.assert_array_equal(network.stem.conv.weight.numpy(), before)
