"""Checkpoints come back as they were written, and files that are none are named."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from click.testing import CliRunner
from paddle import nn
from picoseek_training import checkpoint
from picoseek_training.cli import main
from picoseek_training.detector.weights import load_averaged
from picoseek_training.distillation.teachers import read_model_state
from picoseek_training.network_checkpoint import load_network_checkpoint
from picoseek_training.run.folder import LAST, RunFolder

READERS: list[Callable[[Path], object]] = [
    checkpoint.load,
    load_averaged,
    load_network_checkpoint,
    lambda path: read_model_state(path, "start"),
    lambda path: RunFolder(path.parent).last(),
]
READER_NAMES = ["checkpoint", "detector", "imported network", "start or teacher", "run"]


class _Traitor:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(3, 4)).astype(kind) for kind in ("float16", "float32", "float64", "int8", "int64")]
    shared = np.asfortranarray(rng.normal(size=(3, 4)))
    content: dict[str, Any] = {
        "arrays": arrays,
        "shapes": [np.zeros((0, 3), np.float32), np.float32(0.1).reshape(()), rng.random((2, 3)) > 0.5, shared, shared],
        "scalars": [np.float32(0.1), np.int64(-3), np.bool_(True), 1e-300, -7, True, None, "größe"],
        "nested": {"a": {"b": [{"c": (1, 2.5)}]}, "nothing": {}},
    }
    checkpoint.save(content, tmp_path / LAST)
    read = checkpoint.load(tmp_path / LAST)
    assert list(read) == list(content) and read["nested"] == content["nested"]
    for key in ("arrays", "shapes", "scalars"):
        for found, expected in zip(read[key], content[key], strict=True):
            assert type(found) is type(expected)
            if isinstance(expected, np.ndarray):
                assert found.dtype == expected.dtype and found.flags.writeable
            np.testing.assert_array_equal(found, expected)


def test_tensors_come_back_as_arrays(tmp_path: Path) -> None:
    tensors = {"x": [paddle.to_tensor([1.0, 2.0])], "y": 1}
    checkpoint.save(tensors, tmp_path / LAST)
    np.testing.assert_array_equal(checkpoint.load(tmp_path / LAST)["x"][0], np.array([1, 2], np.float32))
    checkpoint.save(dict(nn.Linear(2, 3).state_dict()), tmp_path / LAST)
    assert {name: value.shape for name, value in checkpoint.load(tmp_path / LAST).items() if name == "weight"} == {
        "weight": (2, 3)
    }


@pytest.mark.parametrize("read", READERS, ids=READER_NAMES)
def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, read: Callable[[Path], object]) -> None:
    trace = tmp_path / "was-here"
    (tmp_path / LAST).write_bytes(pickle.dumps({"averaged": {"x": _Traitor(trace)}}))
    with pytest.raises(ValueError, match=rf"{LAST}: it asks for pathlib\S+, .*do not trust it"):
        read(tmp_path / LAST)
    assert not trace.exists()


@pytest.mark.parametrize("read", READERS, ids=READER_NAMES)
def test_a_damaged_checkpoint_is_named_with_what_to_do(tmp_path: Path, read: Callable[[Path], object]) -> None:
    checkpoint.save({"averaged": {"x": np.ones(9, np.float32)}}, tmp_path / LAST)
    whole = (tmp_path / LAST).read_bytes()
    for content in (b"", whole[: len(whole) // 2], np.random.default_rng(1).bytes(300)):
        (tmp_path / LAST).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{LAST}: .*damaged.*remove it to begin anew"):
            read(tmp_path / LAST)


def test_the_command_does_not_just_abort_on_an_empty_checkpoint(tmp_path: Path) -> None:
    empty = tmp_path / "empty.ckpt"
    empty.touch()
    done = CliRunner().invoke(
        main, ["export", "imported", str(empty), "--format", "onnx", "--out", str(tmp_path / "o")]
    )
    assert done.exit_code == 1 and f"{empty}: it is damaged" in done.stderr and "Aborted" not in done.stderr


def test_what_a_checkpoint_lacks_is_said(tmp_path: Path) -> None:
    path = tmp_path / LAST
    checkpoint.save({"step": 1}, path)
    with pytest.raises(ValueError, match=rf"{LAST} is no checkpoint of such a training: it has no `averaged`; give"):
        load_averaged(path)
    with pytest.raises(ValueError, match="it has no `model`, `ema`; give"):
        RunFolder(tmp_path).last("step", "model", "ema")
    paddle.save(nn.Linear(2, 3).state_dict(), str(tmp_path / "x.pdparams"))
    with pytest.raises(ValueError, match=r"x\.pdparams is no checkpoint of such a training: it has no `averaged`"):
        load_averaged(tmp_path / "x.pdparams")
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match=f"{LAST} .*holds no entries"):
        checkpoint.load(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / LAST
    for other in ({}, {"weight": np.zeros((2, 4), np.float32), "bias": np.zeros(3, np.float32)}, 5):
        checkpoint.save({"averaged": other}, path)
        with pytest.raises(ValueError, match=f"{LAST} holds another network.* of 2 tensors fit"):
            checkpoint.load_averaged_weights(nn.Linear(2, 3), path)
    wanted = np.full((2, 3), 0.5, np.float32)
    checkpoint.save({"averaged": {"weight": wanted, "bias": np.zeros(3, np.float32), "more": wanted}}, path)
    network = nn.Linear(2, 3)
    checkpoint.load_averaged_weights(network, path)
    np.testing.assert_array_equal(network.weight.numpy(), wanted)
