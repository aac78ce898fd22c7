"""PP-LCNet and PP-LCNetV2: published sizes, fusion, and the parts of a recognition model."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest
from picoseek_training.networks.pp_lcnet import PPLCNet, PPLCNetConfig
from picoseek_training.networks.pp_lcnetv2 import PPLCNetV2, PPLCNetV2Config
from picoseek_training.networks.recognition import ArcMarginHead, BNNeck, CosMarginHead
from picoseek_training.networks.reparameterisation import re_parameterize

TRAINABLE_V1 = {0.25: 1_521_184, 0.35: 1_643_090, 0.5: 1_879_576, 0.75: 2_357_008, 1.0: 2_952_520, 1.5: 4_499_832}
V2 = {
    "small": (PPLCNetV2Config(scale=0.75, depths=(2, 2, 4, 2)), 216, 4_193_448),
    "base": (PPLCNetV2Config(), 278, 6_800_360),
    "large": (PPLCNetV2Config(scale=1.25, depths=(2, 2, 8, 2)), 340, 10_716_840),
}


def _trainable(network: paddle.nn.Layer) -> int:
    state = network.state_dict()
    return sum(math.prod(state[name].shape) for name in state if not name.endswith(("_mean", "_variance")))


@pytest.mark.parametrize("scale", TRAINABLE_V1)
def test_pp_lcnet_has_the_official_tensors_and_parameters(scale: float) -> None:
    network = PPLCNet(PPLCNetConfig(scale=scale))
    assert len(network.state_dict()) == 146
    assert _trainable(network) == TRAINABLE_V1[scale]


@pytest.mark.parametrize("name", V2)
def test_pp_lcnetv2_has_the_official_tensors_and_parameters(name: str) -> None:
    config, tensors, trainable = V2[name]
    network = PPLCNetV2(config)
    state = network.state_dict()
    assert len(state) == tensors
    assert _trainable(network) == trainable
    assert {"stem.0.conv.weight", "stem.1.dw_conv.bn._variance", "stages.2.0.pw_conv_1.conv.weight"} <= state.keys()


@pytest.mark.parametrize("stride", [1, 2])
def test_fusion_changes_no_answer(stride: int) -> None:
    paddle.seed(0)
    network = PPLCNetV2(PPLCNetV2Config(scale=0.25, num_classes=7, last_stage_stride=stride))
    for layer in network.sublayers():
        if isinstance(layer, paddle.nn.BatchNorm2D):
            layer._mean.set_value(paddle.randn(layer._mean.shape) * 0.1)
            layer._variance.set_value(paddle.rand(layer._variance.shape) + 0.5)
    network.eval()
    pictures = paddle.randn([2, 3, 64, 64])
    before = network(pictures).numpy()
    re_parameterize(network)
    after = network(pictures).numpy()
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-5 * np.abs(before).max())


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
