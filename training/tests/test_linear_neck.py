"""The linear neck: a better space than the features, learned the same way every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from picoseek_training.distillation.linear_neck import LinearNeck, LinearNeckConfig, _batches, learn_linear_neck

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
CLASSES, DIMENSION, NOISE = 6, 16, 24
CONFIG = LinearNeckConfig(dimension=8, epochs=12, batch=32, learning_rate=0.02, dropout=0.0)


def _labelled_rows(seed: int, count: int = 240) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows whose class shows in a few quiet components, beside loud ones that say nothing."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(CLASSES, DIMENSION))
    classes = rng.integers(0, CLASSES, count)
    quiet = centres[classes] + 0.3 * rng.normal(size=(count, DIMENSION))
    return np.hstack([quiet, 4.0 * rng.normal(size=(count, NOISE))]).astype(np.float32), classes


def _learn(features: NDArray[np.float32], classes: NDArray[np.int64], config: LinearNeckConfig = CONFIG) -> LinearNeck:
    return learn_linear_neck(features, classes, np.zeros(CLASSES, np.int64), config, lambda done, total: None)


def _recall(embeddings: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2.0)
    return float((classes[cosines.argmax(axis=1)] == classes).mean())


def test_unseen_rows_are_found_better_than_by_the_features() -> None:
    neck = _learn(*_labelled_rows(1))
    features, classes = _labelled_rows(2)
    before, after = _recall(features, classes), _recall(neck(features), classes)
    assert before < 0.7 and after > 0.95


def test_the_embedding_is_linear_and_standardised() -> None:
    features, classes = _labelled_rows(1)
    neck = _learn(features, classes)
    assert neck.weight.shape == (DIMENSION + NOISE, CONFIG.dimension) and neck.bias.shape == (CONFIG.dimension,)
    embeddings = neck(features)
    # The folded BatchNorm centres every component; its running mean lags behind a little.
    assert (np.abs(embeddings.mean(axis=0)) < 0.3 * embeddings.std(axis=0)).all()
    halves = neck((features[:10] + features[10:20]) / 2)
    np.testing.assert_allclose(halves, (neck(features[:10]) + neck(features[10:20])) / 2, atol=1e-4)


def test_a_seed_gives_the_same_neck_again_and_another_one_another() -> None:
    features, classes = _labelled_rows(1)
    short = replace(CONFIG, epochs=2, dropout=0.2)
    first, again = _learn(features, classes, short), _learn(features, classes, short)
    np.testing.assert_array_equal(first.weight, again.weight)
    np.testing.assert_array_equal(first.bias, again.bias)
    assert not np.allclose(first.weight, _learn(features, classes, replace(short, seed=1)).weight)


@pytest.mark.parametrize("factor", [2.0**-6, 2.0**7])
def test_the_scale_of_the_features_does_not_matter(factor: float) -> None:
    features, classes = _labelled_rows(1)
    short = replace(CONFIG, epochs=2)
    plain, scaled = _learn(features, classes, short), _learn(features * np.float32(factor), classes, short)
    np.testing.assert_allclose(scaled(features * np.float32(factor)), plain(features), rtol=1e-3, atol=1e-3)


def test_features_stored_as_float16_are_taken() -> None:
    features, classes = _labelled_rows(1)
    neck = learn_linear_neck(
        features.astype(np.float16), classes, np.zeros(CLASSES, np.int64), CONFIG, lambda done, total: None
    )
    assert neck.weight.dtype == np.float32
    assert _recall(neck(features), classes) > 0.95


def test_classes_compete_within_their_domain_only() -> None:
    features, classes = _labelled_rows(1)
    # Two domains with the same classes: told apart by nothing, and so never asked to be.
    doubled = np.concatenate([classes, classes + CLASSES])
    domains = np.repeat([0, 1], CLASSES)
    neck = learn_linear_neck(np.vstack([features, features]), doubled, domains, CONFIG, lambda done, total: None)
    unseen, labels = _labelled_rows(2)
    assert _recall(neck(unseen), labels) > 0.95


def test_every_epoch_is_reported() -> None:
    seen: list[tuple[int, int]] = []
    features, classes = _labelled_rows(1)
    config = replace(CONFIG, epochs=3)
    learn_linear_neck(
        features, classes, np.zeros(CLASSES, np.int64), config, lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_single_class_is_refused() -> None:
    features, _ = _labelled_rows(1, count=20)
    with pytest.raises(ValueError, match="at least two classes"):
        learn_linear_neck(features, np.zeros(20, np.int64), np.zeros(1, np.int64), CONFIG, lambda done, total: None)


@PATIENT
@given(count=st.integers(1, 300), batch=st.integers(1, 64), epoch=st.integers(0, 5), seed=st.integers(0, 9))
def test_batches_are_full_and_take_no_row_twice(count: int, batch: int, epoch: int, seed: int) -> None:
    config = LinearNeckConfig(batch=batch, seed=seed)
    batches = list(_batches(count, config, epoch))
    size = min(batch, count)
    assert [len(rows) for rows in batches] == [size] * (count // size)
    rows = np.concatenate(batches)
    assert len(set(rows.tolist())) == len(rows) and rows.min() >= 0 and rows.max() < count
    np.testing.assert_array_equal(rows, np.concatenate(list(_batches(count, config, epoch))))
