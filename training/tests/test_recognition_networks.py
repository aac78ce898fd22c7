"""PP-LCNet and PP-LCNetV2: published sizes; the parts of a recognition model."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest
from picoseek_training.networks.recognition import ArcMarginHead, BNNeck, CosineHead, CosMarginHead, MarginHead
from picoseek_training.networks.registry import create

# State entries and parameters, the fused convolutions among them.
PUBLISHED = {
    "pplcnet_x0_25": (146, 1_521_184),
    "pplcnet_x0_35": (146, 1_643_090),
    "pplcnet_x0_5": (146, 1_879_576),
    "pplcnet_x0_75": (146, 2_357_008),
    "pplcnet_x1_0": (146, 2_952_520),
    "pplcnet_x1_5": (146, 4_499_832),
    "pplcnet_x2_0": (146, 6_521_512),
    "pplcnet_x2_5": (146, 9_017_560),
    "pplcnetv2_small": (216, 4_193_448),
    "pplcnetv2_base": (278, 6_800_360),
    "pplcnetv2_large": (340, 10_716_840),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_classifier_has_the_published_tensors_and_parameters(name: str) -> None:
    state = create(name).state_dict()
    parameters = sum(math.prod(state[key].shape) for key in state if not key.endswith(("_mean", "_variance")))
    assert (len(state), parameters) == PUBLISHED[name]


def test_the_neck_keeps_its_shift_at_zero() -> None:
    paddle.seed(0)
    neck = BNNeck(4)
    optimizer = paddle.optimizer.Momentum(0.1, parameters=neck.parameters())
    before = neck.feat_bn.bias.numpy().copy()
    neck(paddle.randn([8, 4]) + 3).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(neck.feat_bn.bias.numpy(), before, atol=1e-12)


def test_margins_only_lower_the_target_and_only_in_training() -> None:
    paddle.seed(0)
    features, label = paddle.randn([5, 8]), paddle.to_tensor([0, 1, 2, 0, 1])
    for head in (ArcMarginHead(8, 3, margin=0.2, scale=30.0), CosMarginHead(8, 3)):
        head.train()
        plain, trained = head(features).numpy(), head(features, label).numpy() / head.scale
        rows = np.arange(5)
        assert (trained[rows, label.numpy()] < plain[rows, label.numpy()]).all()
        others = np.ones((5, 3), bool)
        others[rows, label.numpy()] = False
        np.testing.assert_allclose(trained[others], plain[others], atol=1e-5)
        head.eval()
        np.testing.assert_allclose(head(features, label).numpy(), plain, atol=1e-6)


def test_the_plain_cosine_layer_ignores_lengths_and_labels() -> None:
    paddle.seed(0)
    head = CosineHead(8, 3)
    features = paddle.randn([5, 8])
    cosines = head(features).numpy()
    unit = features.numpy() / np.linalg.norm(features.numpy(), axis=1, keepdims=True)
    directions = head.weight.numpy() / np.linalg.norm(head.weight.numpy(), axis=0)
    np.testing.assert_allclose(cosines, unit @ directions, atol=1e-6)
    np.testing.assert_allclose(head(7.0 * features, paddle.to_tensor([0, 1, 2, 0, 1])).numpy(), cosines, atol=1e-6)


def test_a_margin_must_be_defined() -> None:
    with pytest.raises(TypeError, match="with_margin"):
        MarginHead(8, 3, margin=0.1, scale=1.0)  # type: ignore[abstract]
