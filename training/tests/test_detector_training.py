import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest
from interrupted_runs import assert_same_content, break_off
from picoseek_training import checkpoint
from picoseek_training.configuration import read_configuration
from picoseek_training.detector.config import (
    AugmentationConfig,
    AverageDetectorTeacherConfig,
    BundleConfig,
    DetectorComparisonConfig,
    DetectorDistillationConfig,
    DetectorTrainingConfig,
    NetworkDetectorTeacherConfig,
    OptimizerConfig,
    PasteConfig,
    TeacherConfig,
    load_config,
)
from picoseek_training.detector.pool import TrainingSet
from picoseek_training.detector.preparation import prepare
from picoseek_training.detector.targets import PictureTargets
from picoseek_training.detector.training import DetectorTraining, make_optimizer
from picoseek_training.detector.weights import state_of
from picoseek_training.networks.registry import create
from picoseek_training.optimization.ema import EmaConfig
from picoseek_training.run.folder import LAST, LOG

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
    whole.run()

    # As if killed after the first checkpoint: the schedule is the whole run's, only the loop ends early.
    first = DetectorTraining(config(tmp_path / "parts"), sets(), detector())
    first.steps = 2
    first.run()
    second = DetectorTraining(config(tmp_path / "parts"), sets(), detector())
    assert second.step == 2
    second.run()

    expected, actual = (checkpoint.load(tmp_path / run / LAST) for run in ("whole", "parts"))
    assert expected["step"] == actual["step"] == 4
    for part in ("model", "averaged"):
        for key, value in expected[part].items():
            np.testing.assert_array_equal(actual[part][key], value, err_msg=key)


VARIANTS = {
    "legacy head, momentum, cycle, moving statistics": {
        "network": "picodet_mainbody",
        "compile_depthwise": True,
        "batch_size": 1,
        "optimizer": OptimizerConfig(kind="momentum", rate=1e-3, warmup_steps=1, clip_norm=None),
        "ema": EmaConfig(cycle=1),
        "frozen_stages": (),
        "freeze_statistics": False,
    },
    "own average as teacher": {
        "distillation": DetectorDistillationConfig(
            AverageDetectorTeacherConfig("average"),
            (
                DetectorComparisonConfig("ld", 0.25),
                DetectorComparisonConfig("ld", 0.25, region="teacher"),
                DetectorComparisonConfig("scores"),
                DetectorComparisonConfig("cwd", 5.0),
                DetectorComparisonConfig("fgd"),
            ),
        ),
    },
}


@pytest.mark.slow
def test_a_run_that_keeps_what_the_official_model_knew_goes_on_bit_for_bit(tmp_path):
    cv2.imwrite(str(tmp_path / "cut_out.png"), np.full((32, 32, 4), 255, np.uint8))
    pasted = PasteConfig((tmp_path,), probability=1.0)
    bare = [PictureTargets(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32))] * 4
    (annotated,) = sets()
    both = [annotated, TrainingSet("bare", 1.0, annotated.pictures, bare, annotated=False)]

    def start(output):
        recipe = config(
            tmp_path / output, steps=3, augmentation=AugmentationConfig(sizes=(192,), mosaic=0.0, paste=pasted)
        )
        network = detector()
        paddle.seed(6)
        return DetectorTraining(recipe, both, network, create("picodet_xs"))

    start("whole").run()
    break_off(start("parts"), after=2)
    start("parts").run()
    assert_same_content(checkpoint.load(tmp_path / "parts" / LAST), checkpoint.load(tmp_path / "whole" / LAST))
    untaught = DetectorTraining(replace(start("other").config, output=tmp_path / "untaught"), both, detector())
    untaught.run()
    kept, learned = (checkpoint.load(tmp_path / name / LAST)["model"] for name in ("whole", "untaught"))
    assert any((kept[key] != learned[key]).any() for key in kept)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_goes_on_bit_for_bit(tmp_path, variant):
    def start(output):
        recipe = config(tmp_path / output, steps=3, **VARIANTS[variant])
        paddle.seed(5)
        network = create(recipe.network, num_classes=1)
        return DetectorTraining(recipe, sets(), network)

    start("whole").run()
    break_off(start("parts"), after=2)
    assert checkpoint.load(tmp_path / "parts" / LAST)["step"] == 2
    start("parts").run()
    assert_same_content(checkpoint.load(tmp_path / "parts" / LAST), checkpoint.load(tmp_path / "whole" / LAST))


@pytest.mark.slow
def test_a_larger_detector_teaches_and_stays_as_it_is(tmp_path):
    paddle.seed(6)
    teacher = create("picodet_m", num_classes=1)
    checkpoint.save({"averaged": state_of(teacher)}, tmp_path / "m.ckpt")
    distillation = DetectorDistillationConfig(
        NetworkDetectorTeacherConfig("network", tmp_path / "m.ckpt", "picodet_m"),
        (DetectorComparisonConfig("cwd", 5.0), DetectorComparisonConfig("fgd"), DetectorComparisonConfig("scores")),
        labels=0.0,
    )
    recipe = config(tmp_path / "run", steps=1, distillation=distillation, frozen_stages=())
    training = DetectorTraining(recipe, sets(), detector())
    before = {key: value.numpy().copy() for key, value in training.detector.state_dict().items()}
    training.run()
    assert_same_content(state_of(training._distiller.teacher), state_of(teacher))
    moved = {key for key, value in training.detector.state_dict().items() if (value.numpy() != before[key]).any()}
    assert any(key.startswith("neck.") for key in moved) and any(key.startswith("backbone.") for key in moved)
    assert "head.head_reg0.weight" not in moved  # nothing asked for boxes
    assert len(training._distiller.alignments) == 4


def test_the_published_main_body_recipe_runs_with_other_data(tmp_path):
    published = load_config(RECIPES / "main_body.yaml")
    assert published.network == "picodet_mainbody" and published.augmentation.sizes == (576, 608, 640, 672, 704)
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    annotations = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 80, "height": 60} for n in range(3)],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [10, 10, 40, 30]} for n in range(3)],
    }
    (tmp_path / "train.json").write_text(json.dumps(annotations))
    here = {"images": str(tmp_path), "annotations": str(tmp_path / "train.json")}
    small = {
        "output": str(tmp_path / "run"),
        "start": None,
        "size": 192,
        "augmentation.sizes": [192],
        "batch_size": 1,
        "epochs": None,
        "steps": 2,
        "train": [{"name": "a", "share": 1.0, **here}],
        "evaluation": [{"name": "a", **here}],
    }
    overrides = [f"{key}={json.dumps(value)}" for key, value in small.items()]
    recipe = read_configuration(DetectorTrainingConfig, RECIPES / "main_body.yaml", overrides)
    sets_with_targets, network, _ = prepare(recipe)
    assert sets_with_targets[0].sample(1).picture.shape == (60, 80, 3)
    DetectorTraining(recipe, sets_with_targets, network).run()
    log = [json.loads(line) for line in (tmp_path / "run" / LOG).read_text().splitlines()]
    assert log[-1]["evaluation"] == "a" and checkpoint.load(tmp_path / "run" / LAST)["step"] == 2


def test_what_is_missing_or_wrong_is_named_first(tmp_path):
    recipe = load_config(RECIPES / "own_detector.yaml")
    with pytest.raises(FileNotFoundError, match=r"teacher\.onnx: .*picodet_xs\.onnx does not exist; it is"):
        prepare(recipe)
    with pytest.raises(ValueError, match="train: set unlabelled has no annotations"):
        prepare(replace(recipe, teacher=None))
    lost = replace(recipe, teacher=None, train=recipe.train[:1], evaluation=())
    with pytest.raises(FileNotFoundError, match=r"products: .*train\.json does not exist; `picoseek-train convert`"):
        prepare(lost)
    images = tmp_path / "images"
    images.mkdir()
    cv2.imwrite(str(images / "a.png"), np.zeros((40, 60, 3), np.uint8))
    nothing = {
        "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}],
        "annotations": [],
        "categories": [],
    }
    (tmp_path / "nothing.json").write_text(json.dumps(nothing))
    bare = replace(lost.train[0], images=images, annotations=tmp_path / "nothing.json")
    with pytest.raises(ValueError, match="train: no set has a box to learn from"):
        prepare(replace(lost, output=tmp_path / "run", train=(bare,)))
    with pytest.raises(ValueError, match="steps, epochs: give one of them"):
        DetectorTraining(config(tmp_path, steps=None), sets(), detector())
    with pytest.raises(ValueError, match="frozen_stages: the backbone has no part 'blocks9'"):
        DetectorTraining(config(tmp_path, frozen_stages=("blocks9",)), sets(), detector())


def test_another_recipe_in_an_old_folder_is_refused_and_a_longer_one_goes_on(tmp_path):
    DetectorTraining(config(tmp_path, steps=1), sets(), detector()).run()
    with pytest.raises(ValueError, match=r'another recipe: network was "picodet_xs" and is "picodet_s"; take'):
        DetectorTraining(config(tmp_path, steps=1, network="picodet_s"), sets(), create("picodet_s", num_classes=1))
    DetectorTraining(config(tmp_path, steps=2), sets(), detector()).run()
    assert checkpoint.load(tmp_path / LAST)["step"] == 2
    DetectorTraining(config(tmp_path, steps=2), sets(), detector()).run()
    assert json.loads((tmp_path / LOG).read_text().splitlines()[-1]) == {"complete": 2}


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
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step 0, pictures noise/\d, noise/\d; lower"):
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
    assert load_config(RECIPES / "detector_default.yaml").size == 384


def test_a_wrong_configuration_names_the_key(tmp_path):
    text = (RECIPES / "detector_default.yaml").read_text()
    file = tmp_path / "recipe.yaml"
    file.write_text(text.replace("batch_size: 16", "batch_sise: 16"))
    with pytest.raises(ValueError, match="batch_sise"):
        load_config(file)
    file.write_text(text.replace("batch_size: 16", "batch_size: many"))
    with pytest.raises(ValueError, match="batch_size"):
        load_config(file)
