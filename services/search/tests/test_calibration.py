"""Distributions, curves and margins on data whose truth is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from picoseek_search.calibration import calibration_file
from picoseek_search.calibration.calibration import Calibration, TooFewItemsError
from picoseek_search.calibration.calibration_file import CalibrationFileError, Measurement
from picoseek_search.calibration.mix_up import ODDS, margin_of_pairs
from picoseek_search.calibration.references import OwnItem, References
from picoseek_search.calibration.same_item import SameItem
from picoseek_search.calibration.scale import Scale
from picoseek_search.calibration.strangers import Strangers
from picoseek_search.segment.metric import Metric


@pytest.mark.parametrize(("items", "rates"), [(12, (0.05, 0.01)), (60, (0.05, 0.01)), (1500, (0.05, 0.01, 0.001))])
def test_a_new_stranger_is_accepted_at_the_stated_rate(items: int, rates: tuple[float, ...]) -> None:
    # On average over galleries: closeness is exponential beyond its middle, so the truth is known to any depth.
    random = np.random.default_rng(items)
    galleries = 600 if items < 1000 else 150
    numbers = np.arange(items)
    accepted = dict.fromkeys(rates, 0.0)
    for _ in range(galleries):
        strangers = Strangers.fit(random.exponential(1.0, items), numbers)
        for rate in rates:
            accepted[rate] += math.exp(-strangers.threshold(rate)) / galleries
    for rate, mean in accepted.items():
        assert mean == pytest.approx(rate, rel=0.12)


def test_references_of_one_item_count_as_what_they_are_worth() -> None:
    random = np.random.default_rng(1)
    items = np.repeat(np.arange(40), 25)
    alike = Strangers.fit(np.repeat(random.normal(size=40), 25) + 1e-6 * random.normal(size=1000), items)
    apart = Strangers.fit(random.normal(size=1000), items)
    assert 38 < alike.samples < 45
    assert 500 < apart.samples <= 1000
    assert alike.threshold(0.001) > apart.threshold(0.001)


def test_threshold_and_rate_are_inverse_and_monotone() -> None:
    strangers = Strangers.fit(np.random.default_rng(2).normal(size=300), np.arange(300))
    rates = np.array([0.0001, 0.001, 0.01, 0.05, 0.2, 0.5])
    thresholds = np.array([strangers.threshold(rate) for rate in rates])
    assert (np.diff(thresholds) < 0).all()
    np.testing.assert_allclose(strangers.rate(thresholds), rates, rtol=1e-6)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("unit_length", [True, False])
def test_scores_come_back_from_the_scale_in_their_direction(metric: Metric, unit_length: bool) -> None:
    scale = Scale.of(metric, unit_length=unit_length)
    scores = np.array([0.1, 0.5, 0.9]) if metric.larger_is_closer else np.array([9.0, 5.0, 1.0])
    closeness = scale.closeness(scores)
    assert (np.diff(closeness) > 0).all()
    np.testing.assert_allclose([scale.score(value) for value in closeness.tolist()], scores)


def test_probabilities_are_those_that_made_the_data() -> None:
    random = np.random.default_rng(3)
    closeness = random.uniform(-3, 3, 20_000)
    is_same = random.random(20_000) < 1 / (1 + np.exp(-(2 * closeness - 1)))
    curve = SameItem.fit(closeness, is_same, np.ones(20_000))
    assert curve.slope == pytest.approx(2, rel=0.05)
    assert curve.offset == pytest.approx(-1, abs=0.1)
    # Perfectly apart: still a curve, never a step.
    steep = SameItem.fit(np.array([-1.0] * 20 + [1.0] * 20), np.array([False] * 20 + [True] * 20), np.ones(40))
    assert 0.5 < steep.probability(np.array([1.0]))[0] < 1


def test_the_ambiguous_margin_has_the_odds_that_it_names() -> None:
    random = np.random.default_rng(4)
    margins = random.exponential(0.1, 20_000)
    is_right = random.random(20_000) < 1 / (1 + np.exp(-20 * margins))
    assert margin_of_pairs(margins, is_right, np.ones(20_000)) == pytest.approx(math.log(ODDS) / 20, rel=0.05)
    # Where the best item is no likelier than the second, everything is ambiguous.
    assert margin_of_pairs(margins, ~is_right, np.ones(20_000)) == math.inf
    assert margin_of_pairs(np.zeros(5), np.ones(5, np.bool_), np.ones(5)) == 0


def _references(items: int, copies: int = 0) -> References:
    random = np.random.default_rng(items)
    scores = random.uniform(0.2, 0.7, items).astype(np.float32)
    scores[:copies] = 1.0
    return References(np.arange(items), scores, scores, scores - 0.1, np.full(items, OwnItem.GONE, np.int8))


def test_copies_under_another_item_are_left_out_and_counted() -> None:
    scale = Scale.of(Metric.COSINE, unit_length=True)
    clean, dirty = Calibration.fit(scale, _references(60)), Calibration.fit(scale, _references(60, copies=6))
    assert (clean.copies, dirty.copies) == (0, 6)
    assert dirty.threshold(0.01) < 0.95
    assert dirty.items == 54


def test_a_small_gallery_is_not_calibrated() -> None:
    scale = Scale.of(Metric.COSINE, unit_length=True)
    assert Calibration.fit(scale, _references(10)).items == 10
    with pytest.raises(TooFewItemsError, match="9 items"):
        Calibration.fit(scale, _references(9))


def test_a_file_is_read_as_written_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "calibration"
    assert calibration_file.load(path) is None
    written = Measurement(_references(30), True, 30, 1, 7, 123)
    calibration_file.save(path, written)
    read = calibration_file.load(path)
    assert read is not None
    assert (read.documents, read.epoch, read.sequence, read.made_at_ns) == (30, 1, 7, 123)
    np.testing.assert_array_equal(read.references.stranger_scores, written.references.stranger_scores)
    assert [entry.name for entry in tmp_path.iterdir()] == ["calibration"]
    content = path.read_bytes()
    random = np.random.default_rng(5)
    for place in random.integers(0, len(content), 30).tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(CalibrationFileError):
            calibration_file.load(path)
    path.write_bytes(content[:3])
    with pytest.raises(CalibrationFileError):
        calibration_file.load(path)
