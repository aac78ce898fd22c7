"""The threshold that a gallery gives itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picoseek.threshold import derive_threshold


def _scores(count: int, mean: float, deviation: float, seed: int = 0) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(mean, deviation, count), -1, 1)


@pytest.mark.parametrize("mean", [0.1, 0.4, 0.8])
def test_few_strangers_of_the_same_kind_pass(mean: float) -> None:
    threshold = derive_threshold(_scores(200, mean, 0.05), 1.0)
    assert threshold is not None and mean < threshold < 1
    fresh = _scores(5000, mean, 0.05, seed=1)
    assert (fresh >= threshold).mean() < 0.05


def test_a_few_twins_do_not_move_it_much() -> None:
    plain = _scores(100, 0.3, 0.05)
    twins = np.concatenate([plain[:92], np.full(8, 0.99)])
    with_twins, without = derive_threshold(twins, 1.0), derive_threshold(plain, 1.0)
    assert with_twins is not None and without is not None
    assert abs(with_twins - without) < 0.05


def test_distances_are_the_mirror_image() -> None:
    scores = _scores(50, 0.4, 0.1)
    closer, farther = derive_threshold(scores, 1.0), derive_threshold(-scores, -1.0, larger_is_closer=False)
    assert closer is not None and farther == pytest.approx(-closer)


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50))
def test_it_is_never_beyond_the_score_of_the_same_picture(scores: list[float]) -> None:
    threshold = derive_threshold(np.array(scores), 1.0)
    assert threshold is not None and min(scores) <= threshold <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_few_samples_ask_for_more_distance(count: int) -> None:
    few, enough = derive_threshold(np.full(count, 0.4), 1.0), derive_threshold(_scores(200, 0.4, 0.001), 1.0)
    assert few is not None and enough is not None
    assert few > enough + 0.05
    assert few == pytest.approx(0.4 + 0.6 / max(2, count))


def test_no_score_tells_nothing() -> None:
    assert derive_threshold(np.array([]), 1.0) is None
