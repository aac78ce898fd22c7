import numpy as np
import onnx
import paddle
import pytest
from onnx import TensorProto, helper, numpy_helper
from paddle import nn
from picoseek_training.onnx_import.graph_reader import read_onnx_graph
from picoseek_training.weight_graph.weighted_layers import weighted_layers
from picoseek_training.weight_import.folded_norms import ChannelMoments
from picoseek_training.weight_import.known_network import load_onnx_weights

RNG = np.random.default_rng(0)
FIRST = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)
FIRST_BIAS = RNG.normal(size=4).astype(np.float32)
LAST = RNG.normal(size=(2, 4, 1, 1)).astype(np.float32)
LAST_BIAS = RNG.normal(size=2).astype(np.float32)


def write_onnx(path):
    """Convolution with folded BatchNorm, ReLU, and a convolution whose bias is added by the next node."""
    nodes = [
        helper.make_node("Conv", ["image", "w0", "b0"], ["c0"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["c1"], name="last"),
        helper.make_node("Add", ["c1", "b1"], ["out"]),
    ]
    weights = {"w0": FIRST, "b0": FIRST_BIAS, "w1": LAST, "b1": LAST_BIAS.reshape(1, 2, 1, 1)}
    graph = helper.make_graph(
        nodes,
        "folded",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, 3, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph), str(path))
    return path


def network(first_channels=4):
    return nn.Sequential(
        nn.Conv2D(3, first_channels, 3, padding=1, bias_attr=False),
        nn.BatchNorm2D(first_channels),
        nn.ReLU(),
        nn.Conv2D(first_channels, 2, 1),
    )


def images():
    return [paddle.to_tensor(RNG.normal(1.0, 3.0, (4, 3, 8, 8)).astype(np.float32)) for _ in range(3)]


def test_biases_are_found_wherever_the_graph_keeps_them(tmp_path):
    first, last = weighted_layers(read_onnx_graph(write_onnx(tmp_path / "net.onnx")))
    assert (first.name, last.name) == ("w0", "w1") and first.norm is None
    np.testing.assert_array_equal(first.bias, FIRST_BIAS)
    np.testing.assert_array_equal(last.bias, LAST_BIAS)


def test_import_computes_what_the_file_computes_and_restores_the_statistics(tmp_path):
    target, pictures = network(), images()
    load_onnx_weights(target, write_onnx(tmp_path / "net.onnx"), pictures)

    functional = nn.functional
    expected = functional.conv2d(
        functional.relu(
            functional.conv2d(pictures[0], paddle.to_tensor(FIRST), paddle.to_tensor(FIRST_BIAS), padding=1)
        ),
        paddle.to_tensor(LAST),
        paddle.to_tensor(LAST_BIAS),
    )
    np.testing.assert_allclose(target(pictures[0]).numpy(), expected.numpy(), rtol=1e-4, atol=1e-4)

    inputs = np.concatenate([target[0](batch).numpy() for batch in pictures])
    np.testing.assert_allclose(target[1]._mean.numpy(), inputs.mean(axis=(0, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(target[1]._variance.numpy(), inputs.var(axis=(0, 2, 3)), rtol=1e-4)


def test_a_file_of_another_structure_is_refused(tmp_path):
    path = write_onnx(tmp_path / "net.onnx")
    with pytest.raises(ValueError, match=r"net\.onnx holds another network: 0 has the shape .*, w0"):
        load_onnx_weights(network(first_channels=5), path, images())
    with pytest.raises(ValueError, match="extra w1"):
        load_onnx_weights(nn.Sequential(nn.Conv2D(3, 4, 3, padding=1)), path, images())


def test_moments_of_a_stream_are_those_of_the_whole():
    moments, batches = ChannelMoments(3), images()
    for batch in batches:
        moments.update(batch)
    whole = np.concatenate([batch.numpy() for batch in batches])
    np.testing.assert_allclose(moments.mean, whole.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, whole.var(axis=(0, 2, 3)), rtol=1e-5)
