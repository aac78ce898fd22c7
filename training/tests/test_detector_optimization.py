import math

import numpy as np
import pytest
from picoseek_training.optimization.ema import EmaConfig, ModelEma
from picoseek_training.optimization.schedules import ClassificationCosine, DetectionCosine


def weights(value):
    return {"w": np.full(2, value, np.float32)}


@pytest.mark.parametrize("kind", ["threshold", "normal"])
def test_the_average_of_constant_weights_is_these_weights(kind):
    average = ModelEma(EmaConfig(kind=kind, decay=0.9))
    for _ in range(5):
        average.update(weights(3.0))
    # The correction of the threshold kind takes the last decay for all, which is only nearly right.
    assert average.averaged()["w"][0] == pytest.approx(3.0, rel=0.03)


def test_a_cycle_forgets():
    average = ModelEma(EmaConfig(cycle=1))
    average.update(weights(100.0))
    average.apply()
    average.update(weights(1.0))
    assert average.averaged()["w"][0] == pytest.approx(1.0)


def test_a_restored_average_goes_on_exactly():
    first = ModelEma(EmaConfig())
    first.update(weights(1.0))
    second = ModelEma(EmaConfig())
    second.load_state_dict(first.state_dict())
    for average in (first, second):
        average.update(weights(2.0))
    np.testing.assert_array_equal(first.averaged()["w"], second.averaged()["w"])


def test_schedules_rise_to_the_rate_and_fall_to_zero():
    detection = DetectionCosine(0.4, warmup_steps=10, total_steps=110)
    assert detection(0) == pytest.approx(0.04)
    assert detection(10) == pytest.approx(0.4)
    assert detection(60) == pytest.approx(0.2)
    assert detection(110) == pytest.approx(0.0, abs=1e-12)
    classification = ClassificationCosine(0.4, warmup_steps=10, total_steps=110)
    assert classification(0) == 0.0
    assert classification(35) == pytest.approx(0.2 * (1 + math.cos(math.pi / 4)))
