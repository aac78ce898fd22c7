"""Weights of MobileNetV1 out of a frozen TensorFlow graph, written by the tests themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle
import pytest
from picoseek_training.networks.mobilenet_v1 import MobileNetV1
from picoseek_training.tensorflow_import import FrozenGraphError, load_mobilenet_v1, read_constants

SCALE = 0.25
Graph = Callable[[MobileNetV1], bytes]
Constant = Callable[..., bytes]


@pytest.fixture(scope="module")
def trained() -> MobileNetV1:
    paddle.seed(3)
    network = MobileNetV1(SCALE)
    network.train()
    network(paddle.randn([4, 3, 64, 64]))  # statistics that differ from the initial ones
    network.eval()
    return network


def test_a_graph_gives_back_the_network_it_was_written_from(
    trained: MobileNetV1, mobilenet_graph: Graph, tmp_path: Path
) -> None:
    file = tmp_path / "graph.pb"
    file.write_bytes(mobilenet_graph(trained))
    loaded = MobileNetV1(SCALE)
    load_mobilenet_v1(file, loaded)
    loaded.eval()
    picture = paddle.randn([2, 3, 64, 64])
    np.testing.assert_allclose(loaded(picture).numpy(), trained(picture).numpy(), rtol=1e-5, atol=1e-6)


def test_a_single_value_stands_for_the_whole_tensor(graph_constant: Constant, tmp_path: Path) -> None:
    file = tmp_path / "graph.pb"
    file.write_bytes(graph_constant("ones", np.ones((2, 3), np.float32), fill=True))
    np.testing.assert_array_equal(read_constants(file)["ones"], np.ones((2, 3), np.float32))


def test_a_truncated_graph_is_refused(trained: MobileNetV1, mobilenet_graph: Graph, tmp_path: Path) -> None:
    file = tmp_path / "graph.pb"
    file.write_bytes(mobilenet_graph(trained)[:-100])
    with pytest.raises(FrozenGraphError, match=r"graph\.pb is no frozen TensorFlow graph"):
        read_constants(file)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip archive", b"\xff" * 64])
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "other"
    file.write_bytes(content)
    with pytest.raises(FrozenGraphError, match="other"):
        read_constants(file)


def test_a_tensor_of_the_wrong_size_is_refused(graph_constant: Constant, tmp_path: Path) -> None:
    file = tmp_path / "graph.pb"
    whole = graph_constant("w", np.ones(5, np.float32))
    file.write_bytes(whole.replace(b"\x12\x02\x08\x05", b"\x12\x02\x08\x06"))
    with pytest.raises(FrozenGraphError, match="constant w has 5 values"):
        read_constants(file)


def test_a_graph_of_another_network_is_refused_by_name(graph_constant: Constant, tmp_path: Path) -> None:
    file = tmp_path / "graph.pb"
    file.write_bytes(graph_constant("InceptionV3/Conv2d_1a_3x3/weights", np.ones((3, 3, 3, 32), np.float32)))
    with pytest.raises(FrozenGraphError, match="MobilenetV1/Conv2d_0/weights"):
        load_mobilenet_v1(file, MobileNetV1(SCALE))


def test_a_graph_of_another_width_is_refused(trained: MobileNetV1, mobilenet_graph: Graph, tmp_path: Path) -> None:
    file = tmp_path / "graph.pb"
    file.write_bytes(mobilenet_graph(trained))
    with pytest.raises(FrozenGraphError, match="shape"):
        load_mobilenet_v1(file, MobileNetV1(0.5))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        read_constants(tmp_path / "absent.pb")
