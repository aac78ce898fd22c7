import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
import pytest
from picoseek_training import checkpoint
from picoseek_training.detector.config import (
    AugmentationConfig,
    BundleConfig,
    DetectorTrainingConfig,
    OptimizerConfig,
    TeacherConfig,
    load_config,
)
from picoseek_training.detector.pool import TrainingSet
from picoseek_training.detector.targets import PictureTargets
from picoseek_training.detector.training import LAST, LOG, DetectorTraining, make_optimizer
from picoseek_training.networks.registry import create

RECIPES = Path(__file__).parents[1] / "recipes"


def config(output, **changes):
    bundle = BundleConfig("tiny", "1", "", "Apache-2.0", (), Path("card.md"))
    base = DetectorTrainingConfig(
        output=output,
        teacher=TeacherConfig(onnx=Path("unused")),
        train=(),
        evaluation=(),
        bundle=bundle,
        steps=4,
        batch_size=2,
        size=192,
        checkpoint_every=2,
        evaluate_every=100,
        compile_depthwise=False,
        optimizer=OptimizerConfig(warmup_steps=1),
        augmentation=AugmentationConfig(sizes=(192,)),
    )
    return replace(base, **changes)


def sets():
    pictures = np.random.default_rng(0).integers(0, 256, (4, 192, 192, 3), dtype=np.uint8)
    box = np.array([[30, 40, 120, 150]], np.float32)
    return [TrainingSet("noise", 1.0, pictures, [PictureTargets(box, box[:0]) for _ in pictures])]


def detector():
    paddle.seed(5)
    return create("picodet_xs", num_classes=1)


def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path):
    whole = DetectorTraining(config(tmp_path / "whole"), sets(), detector())
    (tmp_path / "whole").mkdir()
    whole.run()

    (tmp_path / "parts").mkdir()
    # As if killed after the first checkpoint: the schedule is the whole run's, only the loop ends early.
    first = DetectorTraining(config(tmp_path / "parts"), sets(), detector())
    first.config = config(tmp_path / "parts", steps=2)
    first.run()
    second = DetectorTraining(config(tmp_path / "parts"), sets(), detector())
    assert second.step == 2
    second.run()

    expected, actual = (checkpoint.load(tmp_path / run / LAST) for run in ("whole", "parts"))
    assert expected["step"] == actual["step"] == 4
    for part in ("model", "averaged"):
        for key, value in expected[part].items():
            np.testing.assert_array_equal(actual[part][key], value, err_msg=key)


def test_frozen_stages_keep_their_weights_and_statistics(tmp_path):
    network = detector()
    before = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    training = DetectorTraining(config(tmp_path, steps=1), sets(), network)
    training.run()
    for key, value in network.state_dict().items():
        frozen = key.startswith(("backbone.conv1", "backbone.blocks2", "backbone.blocks3"))
        if frozen or key.endswith(("_mean", "_variance")):
            np.testing.assert_array_equal(value.numpy(), before[key], err_msg=key)
    assert (network.state_dict()["head.head_cls0.weight"].numpy() != before["head.head_cls0.weight"]).any()


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    network = detector()
    for predictor in network.head.head_reg_list:
        predictor.bias.set_value(np.full(32, np.nan, np.float32))
    training = DetectorTraining(config(tmp_path), sets(), network)
    with pytest.raises(FloatingPointError, match=r"optimizer\.rate"):
        training.run()
    assert not (tmp_path / LAST).exists()


def test_log_is_json_by_lines(tmp_path):
    DetectorTraining(config(tmp_path, steps=10), sets(), detector()).run()
    (entry,) = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert entry["step"] == 10
    assert entry["samples_per_second"] > 0


def test_relative_rates_follow_the_size_of_the_weights():
    layer = paddle.nn.Linear(2, 2)
    layer.weight.set_value(np.full((2, 2), 0.01, np.float32))
    layer.bias.set_value(np.ones(2, np.float32))
    optimizer = make_optimizer(OptimizerConfig(rate=0.1, weight_decay=0.0), list(layer.parameters()))
    layer(paddle.ones([1, 2])).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(layer.weight.numpy(), 0.009, rtol=1e-4)
    np.testing.assert_allclose(layer.bias.numpy(), 0.9, rtol=1e-4)


def test_the_recipe_is_valid():
    assert load_config(RECIPES / "detector_default.yaml").size == 320


def test_a_wrong_configuration_names_the_key(tmp_path):
    text = (RECIPES / "detector_default.yaml").read_text()
    file = tmp_path / "recipe.yaml"
    file.write_text(text.replace("batch_size: 16", "batch_sise: 16"))
    with pytest.raises(ValueError, match="batch_sise"):
        load_config(file)
    file.write_text(text.replace("batch_size: 16", "batch_size: many"))
    with pytest.raises(ValueError, match="batch_size"):
        load_config(file)
