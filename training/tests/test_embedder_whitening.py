import numpy as np
import paddle
import pytest
from picoseek_training.embedder.config import StudentConfig
from picoseek_training.embedder.set_directions import without_set_directions
from picoseek_training.embedder.student import Embedder
from picoseek_training.embedder.whitening import pooled_features, whiten, whiten_within_classes
from picoseek_training.embedder.within_class import within_class_whitening
from picoseek_training.evaluation.retrieval import unit_rows


def test_whitened_embeddings_are_centred_and_uncorrelated() -> None:
    embedder = Embedder(StudentConfig(scale=0.25, dimension=32))
    images = np.random.default_rng(0).standard_normal((600, 3, 32, 32)).astype(np.float32)
    pooled = pooled_features(embedder, images)
    whiten(embedder, pooled, shrinkage=0.0)
    weight, bias = embedder.backbone.last_conv.weight.numpy()[:, :, 0, 0], embedder.backbone.last_conv.bias.numpy()
    whitened = pooled @ weight.T + bias
    np.testing.assert_allclose(whitened.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(np.cov(whitened, rowvar=False, bias=True), np.eye(32), atol=2e-2)
    np.testing.assert_allclose(embedder(paddle.to_tensor(images[:4])).numpy(), whitened[:4], rtol=1e-2, atol=1e-2)


def test_more_components_than_channels_are_refused() -> None:
    embedder = Embedder(StudentConfig(scale=0.25, dimension=512))
    with pytest.raises(ValueError, match="cannot be whitened"):
        whiten(embedder, np.zeros((4, 256), np.float32))


def test_whitening_within_classes_is_a_linear_map_of_what_the_embedder_said() -> None:
    embedder = Embedder(StudentConfig(scale=0.25, dimension=32))
    draw = np.random.default_rng(0)
    images = draw.standard_normal((600, 3, 32, 32)).astype(np.float32)
    # A network that was not trained says about the same of everything; after this it does not.
    whiten(embedder, pooled_features(embedder, images))
    norm = embedder.neck.feat_bn
    for statistic in (norm._mean, norm._variance, norm.weight, norm.bias):
        assert statistic is not None
        statistic.set_value(draw.uniform(0.5, 2.0, 32).astype(np.float32))
    some = paddle.to_tensor(images[:40])
    before = embedder(some).numpy()
    classes, sets = np.arange(40) // 2 - 1, np.arange(40) // 20
    whiten_within_classes(embedder, before, classes, sets, shrinkage=0.3)
    unit = unit_rows(before)
    reduced = without_set_directions(unit[None], sets) @ within_class_whitening(unit[None], classes, 0.3)
    centre = np.linalg.norm(before, axis=1).mean() * unit.mean(axis=0)
    expected = (before - centre) @ reduced
    np.testing.assert_allclose(embedder(some).numpy(), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_pictures_without_labels_say_nothing_of_classes() -> None:
    embedder = Embedder(StudentConfig(scale=0.25, dimension=32))
    with pytest.raises(ValueError, match="no training picture has a label"):
        whiten_within_classes(embedder, np.ones((4, 32), np.float32), np.full(4, -1), np.zeros(4, np.int64))
