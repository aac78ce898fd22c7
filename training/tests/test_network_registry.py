"""What holds for every network that can be built by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import Tensor, nn
from picoseek_training.networks.picodet import PicoDet
from picoseek_training.networks.recognition import RecModel
from picoseek_training.networks.registry import create, default_config, names
from picoseek_training.networks.reparameterisation import re_parameterize

BATCH, SIDE, CLASSES = 4, 64, 100
RECORDED = Path(__file__).parents[3] / "shared" / "reference" / "state-dict-names"
OFFICIAL_NAMES = {
    "pplcnet_x0_25": "PPLCNet_x0_25",
    "pplcnet_x0_35": "PPLCNet_x0_35",
    "pplcnet_x0_5": "PPLCNet_x0_5",
    "pplcnet_x0_75": "PPLCNet_x0_75",
    "pplcnet_x1_0": "PPLCNet_x1_0",
    "pplcnet_x1_5": "PPLCNet_x1_5",
    "pplcnet_x2_0": "PPLCNet_x2_0",
    "pplcnet_x2_5": "PPLCNet_x2_5",
    "pplcnetv2_small": "PPLCNetV2_small",
    "pplcnetv2_base": "PPLCNetV2_base",
    "pplcnetv2_large": "PPLCNetV2_large",
    "general_recognition_v1": "RecModel_V1_PPLCNet_x2_5_ArcMargin_cls100",
    "general_recognition_v2": "RecModel_PPLCNetV2_base_ShiTu_cls100",
    "picodet_s": "picodet_s_320_coco_lcnet_cls80",
    "picodet_m": "picodet_m_320_coco_lcnet_cls80",
    "picodet_l": "picodet_l_640_coco_lcnet_cls80",
    "picodet_mainbody": "picodet_lcnet_x2_5_640_mainbody_cls1",
}


def build(name: str) -> nn.Layer:
    """Build the network, with a head of few classes where it has none by itself."""
    paddle.seed(1)
    return create(name, num_classes=CLASSES) if name.startswith("general_recognition") else create(name)


def outputs(network: nn.Layer, pictures: Tensor) -> dict[str, Tensor]:
    """Everything that a loss looks at."""
    if isinstance(network, PicoDet):
        predictions = network.dense(pictures)
        return {"classes": predictions.classes, "distributions": predictions.distributions}
    if isinstance(network, RecModel):
        answer = network(pictures, paddle.arange(len(pictures)))
        assert answer.logits is not None
        return {"features": answer.features, "logits": answer.logits}
    return {"answer": network(pictures)}


def expected_shapes(name: str) -> dict[str, list[int]]:
    config = default_config(name)
    if name.startswith("picodet"):
        cells = sum((SIDE // stride) ** 2 for stride in config.strides)
        return {
            "classes": [BATCH, cells, config.num_classes],
            "distributions": [BATCH, cells, 4 * (config.reg_max + 1)],
        }
    if name.startswith("general_recognition"):
        return {"features": [BATCH, config.dimension], "logits": [BATCH, CLASSES]}
    return {"answer": [BATCH, config.num_classes or config.class_expand]}


def pictures() -> Tensor:
    return paddle.to_tensor(np.random.default_rng(2).normal(size=(BATCH, 3, SIDE, SIDE)).astype(np.float32))


def restlessly_normalised(network: nn.Layer) -> nn.Layer:
    """Give BatchNorm statistics and scales that are not those of a fresh network, which fusion could ignore."""
    rng = np.random.default_rng(3)
    for key, tensor in network.state_dict().items():
        if key.endswith("_variance"):
            scale, shift = key.replace("_variance", "weight"), key.replace("_variance", "bias")
            tensor.set_value(rng.uniform(0.5, 1.5, tensor.shape).astype(np.float32))
            state = network.state_dict()
            state[key.replace("_variance", "_mean")].set_value(rng.normal(0, 0.1, tensor.shape).astype(np.float32))
            state[scale].set_value(rng.uniform(0.8, 1.2, tensor.shape).astype(np.float32))
            state[shift].set_value(rng.normal(0, 0.1, tensor.shape).astype(np.float32))
    return network


@pytest.mark.parametrize("name", names())
def test_a_network_answers_learns_everywhere_and_deploys_without_a_change(name: str) -> None:
    network = build(name)

    network.train()
    trained = outputs(network, pictures())
    assert {key: list(value.shape) for key, value in trained.items()} == expected_shapes(name)
    rng = np.random.default_rng(4)
    directions = {key: paddle.to_tensor(rng.normal(size=value.shape), "float32") for key, value in trained.items()}
    paddle.add_n([(trained[key] * directions[key]).sum() for key in trained]).backward()
    unmoved = [key for key, parameter in network.named_parameters() if is_unmoved(parameter)]
    assert unmoved == []

    restlessly_normalised(network).eval()
    with paddle.no_grad():
        before = outputs(network, pictures())
        re_parameterize(network)
        after = outputs(network, pictures())
    for key, value in before.items():
        largest = float(value.abs().max())
        assert largest > 0
        np.testing.assert_allclose(after[key].numpy(), value.numpy(), rtol=0, atol=1e-5 * largest, err_msg=key)


def is_unmoved(parameter: Any) -> bool:
    """Whether a trainable parameter got no usable gradient."""
    if parameter.stop_gradient:
        return False
    gradient = parameter.grad
    return gradient is None or not bool(paddle.isfinite(gradient).all()) or float(gradient.abs().max()) == 0.0


@pytest.mark.parametrize("name", OFFICIAL_NAMES)
def test_the_state_has_the_official_names_shapes_and_types(name: str) -> None:
    if not RECORDED.is_dir():
        pytest.skip("needs the recorded state dicts, shared/reference/state-dict-names beside the repository")
    recorded = json.loads((RECORDED / f"{OFFICIAL_NAMES[name]}.json").read_text())
    state = build(name).state_dict()
    actual = [[key, list(value.shape), str(value.dtype).removeprefix("paddle.")] for key, value in state.items()]
    assert sorted(actual) == sorted(recorded)


def test_names_are_chosen_by_a_pattern() -> None:
    assert names("picodet_?") == ["picodet_s", "picodet_m", "picodet_l"]
    assert names("*shitu") == ["pplcnetv2_base_shitu"]
    assert names("resnet*") == []


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("picodet_xxs", "picodet_xs"), ("PPLCNet_x1_0", "pplcnet_x1_0"), ("pplcnetv2", "pplcnetv2_base")],
)
def test_an_unknown_name_is_answered_with_near_ones(wrong: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown network '{wrong}'; did you mean .*{near}"):
        create(wrong)


def test_a_name_like_none_is_answered_with_all() -> None:
    with pytest.raises(ValueError, match=r"unknown network 'vgg'; known: pplcnet_x0_25, .*, picodet_mainbody"):
        create("vgg")


def test_an_unknown_setting_is_answered_with_a_near_one() -> None:
    with pytest.raises(ValueError, match="pplcnet_x1_0 has no setting 'num_class'; did you mean num_classes"):
        create("pplcnet_x1_0", num_class=3)
    with pytest.raises(ValueError, match="did you mean scale"):
        create("pplcnet_x1_0", scal=2.0)


def test_overriding_leaves_the_published_configuration_as_it_is() -> None:
    assert list(create("pplcnet_x0_25", num_classes=3).state_dict()["fc.weight"].shape) == [1280, 3]
    assert default_config("pplcnet_x0_25").num_classes == 1000


def test_the_embedding_of_a_recognition_model_has_the_chosen_dimension() -> None:
    for name in names("general_recognition*"):
        model = create(name, dimension=64)
        model.eval()
        answer = model(pictures())
        assert answer.logits is None
        assert list(answer.features.shape) == [BATCH, 64]


def test_a_backbone_with_a_classifier_is_refused() -> None:
    with pytest.raises(ValueError, match="num_classes=None"):
        create("general_recognition_v1", backbone=default_config("pplcnet_x1_0"))
