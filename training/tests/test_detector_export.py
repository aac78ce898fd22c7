from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
import paddle.inference
import pytest
from picoseek_bundle.bundle import load_bundle
from picoseek_training.detector.class_agnostic import fit_logistic, to_one_class
from picoseek_training.detector.config import load_config
from picoseek_training.detector.export import detector_inputs, export_bundle, export_trained, input_spec
from picoseek_training.evaluation.coco_ap import DetectionMetrics
from picoseek_training.export.program import write_program
from picoseek_training.networks.picodet import NmsConfig, PicoDet
from picoseek_training.networks.picodet.looks import Look, join
from picoseek_training.networks.registry import create
from picoseek_training.weight_import.importing import import_weights

SIZE = 64


@pytest.fixture(scope="module")
def detector():
    paddle.seed(2)
    network = create("picodet_xs", num_classes=1, nms=NmsConfig(score_threshold=0.0, keep_top_k=5))
    # Scores and boxes of a fresh network are all but equal, and equal ones come in any order.
    rng = np.random.default_rng(3)
    for weight in network.parameters():
        if weight.ndim == 4:
            deviation = np.sqrt(3.0 / np.prod(weight.shape[1:]))
            weight.set_value((deviation * rng.standard_normal(weight.shape)).astype(np.float32))
    network.eval()
    return network


def looking_again(detector, size, **settings):
    config = replace(detector.config, further_sizes=(size,), **settings)
    again = PicoDet(config)
    again.set_state_dict(detector.state_dict())
    again.eval()
    return again


@pytest.mark.parametrize("further", [None, SIZE // 2])
def test_the_bundle_answers_like_the_network_at_every_batch_size(detector, tmp_path, further):
    if further is not None:
        detector = looking_again(detector, further)
    card = tmp_path / "card.md"
    card.write_text("# Tiny\n")
    bundle = export_bundle(
        detector,
        input_spec(SIZE),
        card,
        tmp_path / "bundle",
        name="tiny",
        version="1",
        network="PicoDet",
        license="Apache-2.0",
    )
    assert load_bundle(bundle.folder).manifest.scale_factor_input == "scale_factor"

    config = paddle.inference.Config(str(bundle.program), str(bundle.weights))
    config.disable_glog_info()
    config.enable_mkldnn()
    predictor = paddle.inference.create_predictor(config)
    for count in (1, 3):
        image = np.random.default_rng(count).normal(size=(count, 3, SIZE, SIZE)).astype(np.float32)
        scale = np.full((count, 2), 0.5, np.float32)
        for name, value in (("image", image), ("scale_factor", scale)):
            predictor.get_input_handle(name).copy_from_cpu(value)
        predictor.run()
        rows, counts = (predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names())
        with paddle.no_grad():
            expected, expected_counts = detector(paddle.to_tensor(image), paddle.to_tensor(scale))
        np.testing.assert_array_equal(counts, expected_counts.numpy())
        np.testing.assert_allclose(rows, expected.numpy(), atol=1e-2)


def test_a_further_size_is_a_look_at_the_picture_shrunk(detector):
    everything = NmsConfig(score_threshold=0.0, nms_top_k=-1, keep_top_k=-1, nms_threshold=1.0)
    image = np.random.default_rng(5).normal(size=(1, 3, SIZE, SIZE)).astype(np.float32)
    half = image.reshape(1, 3, SIZE // 2, 2, SIZE // 2, 2).mean(axis=(3, 5))
    looks = []
    with paddle.no_grad():
        for picture in (image, half):
            dense = detector.dense(paddle.to_tensor(picture))
            looks.append(Look(detector.boxes(dense) * (SIZE / picture.shape[3]), detector.probabilities(dense)))
        found = looking_again(detector, SIZE // 2, nms=everything)(paddle.to_tensor(image), paddle.ones([1, 2]))[0]
        together = join(looks)
    rows = found.numpy()[:, 1:]
    expected = paddle.concat([together.scores, together.boxes], axis=2).numpy()[0]
    assert len(rows) == len(expected)
    ordered = [some[np.lexsort((some[:, 1], some[:, 0]))] for some in (rows, expected)]
    np.testing.assert_allclose(ordered[0], ordered[1], rtol=1e-4, atol=1e-3)


def test_the_weights_of_a_bundle_that_looks_again_come_back(detector, tmp_path):
    again = looking_again(detector, SIZE // 2)
    write_program(again, detector_inputs(input_spec(SIZE)), tmp_path)
    imported = import_weights(tmp_path, "picodet_xs").checkpoint.state
    for name, value in detector.state_dict().items():
        np.testing.assert_array_equal(imported[name], value.numpy(), err_msg=name)


@pytest.mark.parametrize(
    ("sizes", "word"),
    [({"size": 100}, "size: 100 is no multiple of 32"), ({"further_sizes": (384,)}, "not smaller than size, 384")],
)
def test_sizes_that_cannot_be_are_named(sizes, word):
    recipe = Path(__file__).parents[1] / "recipes" / "detector_default.yaml"
    with pytest.raises(ValueError, match=word):
        replace(load_config(recipe), **sizes)


def test_the_model_card_and_the_manifest_carry_the_measured_figures(detector, tmp_path):
    card = tmp_path / "card.md"
    card.write_text("# Tiny\n\n{measurements}\n")
    recipe = Path(__file__).parents[1] / "recipes" / "detector_default.yaml"
    config = load_config(recipe)
    config = replace(config, size=SIZE, further_sizes=(), bundle=replace(config.bundle, model_card=card))
    bundle = export_trained(
        config, detector, {"raccoon/test": DetectionMetrics(0.4, 0.71234, 0.6, 0.8)}, "a command", tmp_path / "bundle"
    )
    assert bundle.manifest.recipe == "a command"
    figures = {entry.metric: entry.value for entry in bundle.manifest.accuracy}
    assert figures["ap50"] == 0.7123
    assert "| raccoon/test | 0.400 | 0.712 | 0.600 | 0.800 |" in (bundle.folder / "MODEL_CARD.md").read_text()


def test_logistic_regression_recovers_the_weights_of_soft_targets():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2000, 3))
    weights = np.array([1.0, -2.0, 0.5, -1.0])
    targets = 1 / (1 + np.exp(-(features @ weights[:3] + weights[3])))
    np.testing.assert_allclose(fit_logistic(features, targets), weights, atol=1e-3)


def test_logistic_regression_finds_a_rare_sign_of_objects():
    features = np.zeros((1000, 1))
    features[:10] = 1.0
    targets = np.where(features[:, 0] > 0, 0.9, 0.001)
    weights = fit_logistic(features, targets)
    predicted = 1 / (1 + np.exp(-(features @ weights[:-1] + weights[-1])))
    np.testing.assert_allclose(predicted, targets, atol=1e-3)


def test_one_class_follows_the_best_of_many():
    paddle.seed(4)
    many = create("picodet_xs", num_classes=2)
    for predictor in many.head.head_cls_list:
        # The second class says everything that the first does, only less.
        weight = np.random.default_rng(1).normal(size=(1, 96, 1, 1)).astype(np.float32)
        predictor.weight.set_value(np.concatenate([weight, weight]))
        predictor.bias.set_value(np.array([-1.0, -3.0], np.float32))
    images = [paddle.randn([4, 3, 128, 128]) for _ in range(4)]
    one = to_one_class(many, images)
    with paddle.no_grad():
        expected = many.dense(images[0]).classes.max(axis=2)
        actual = one.dense(images[0]).classes[:, :, 0]
    np.testing.assert_allclose(actual.numpy(), expected.numpy(), atol=0.02)


def test_a_legacy_head_cannot_be_made_class_agnostic():
    with pytest.raises(ValueError, match="PicoHeadV2"):
        to_one_class(create("picodet_mainbody"), [])
