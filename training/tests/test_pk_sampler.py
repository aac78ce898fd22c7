"""What every batch of P classes with K pictures keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picoseek_training.data.pk_sampler import PkSampler

_CLASSES = st.lists(st.integers(-1, 6), min_size=1, max_size=40).map(lambda each: np.array(each, np.int64))


def _labelled(classes: np.ndarray) -> int:
    return len(np.unique(classes[classes >= 0]))


@given(_CLASSES, st.integers(1, 4), st.integers(1, 6), st.integers(0, 5), st.sampled_from(["classes", "pictures"]))
def test_a_batch_has_p_classes_with_k_pictures(classes, p, k, step, weighting):
    if _labelled(classes) < p:
        with pytest.raises(ValueError, match="take fewer classes a batch"):
            PkSampler(classes, p, k, seed=3, weighting=weighting)
        return
    batch = PkSampler(classes, p, k, seed=3, weighting=weighting).batch(step)
    assert batch.shape == (p * k,)
    rows = classes[batch].reshape(p, k)
    assert (rows == rows[:, :1]).all() and (rows >= 0).all()
    assert len(np.unique(rows[:, 0])) == p


@given(_CLASSES, st.integers(1, 6), st.integers(0, 5))
def test_a_class_shows_its_pictures_as_evenly_as_it_can(classes, k, step):
    if _labelled(classes) < 1:
        return
    batch = PkSampler(classes, 1, k, seed=0).batch(step)
    size = int((classes == classes[batch[0]]).sum())
    counts = np.unique(batch, return_counts=True)[1]
    assert len(counts) == min(k, size)
    assert counts.max() - counts.min() <= 1 and (k > size or counts.max() == 1)


@given(_CLASSES, st.integers(0, 1000), st.integers(0, 1000))
def test_seed_and_step_alone_decide(classes, seed, step):
    if _labelled(classes) < 2:
        return
    used, fresh = (PkSampler(classes, 2, 3, seed) for _ in range(2))
    for earlier in range(3):
        used.batch(earlier)
    np.testing.assert_array_equal(used.batch(step), fresh.batch(step))


def test_steps_and_seeds_differ():
    classes = np.repeat(np.arange(10), 10)
    batches = [PkSampler(classes, 4, 4, seed).batch(step).tolist() for seed in range(3) for step in range(3)]
    assert len({tuple(batch) for batch in batches}) == 9


def test_every_picture_comes_up_and_classes_as_often_as_they_are_weighted():
    classes = np.repeat([0, 1, 2, 3], [30, 10, 10, 10])
    for weighting, share in (("classes", 1 / 4), ("pictures", 1 / 2)):
        sampler = PkSampler(classes, 1, 4, seed=1, weighting=weighting)
        drawn = np.concatenate([sampler.batch(step) for step in range(2000)])
        assert len(np.unique(drawn)) == len(classes)
        assert abs((classes[drawn] == 0).mean() - share) < 0.05


@pytest.mark.parametrize(("p", "k"), [(0, 4), (4, 0)])
def test_an_empty_batch_is_refused(p, k):
    with pytest.raises(ValueError, match="both must be at least 1"):
        PkSampler(np.arange(8), p, k, seed=0)


def test_factors_move_the_chances_of_classes():
    classes = np.repeat(np.arange(4), 5)
    sampler = PkSampler(classes, 1, 2, seed=1, factors=np.array([4.0, 1.0, 1.0, 1.0]))
    drawn = np.concatenate([sampler.batch(step) for step in range(2000)])
    assert abs((classes[drawn] == 0).mean() - 4 / 7) < 0.05
    with pytest.raises(ValueError, match="must be above 0"):
        PkSampler(classes, 1, 2, seed=1, factors=np.zeros(4))
