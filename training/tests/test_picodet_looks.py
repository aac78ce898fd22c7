"""What several looks at a picture see becomes one, cell by cell."""

import numpy as np
import paddle
import pytest
from picoseek_training.networks.picodet.looks import OTHERS_SHARE, Level, fuse

FINE, COARSE = (2, 1, 8.0), (1, 1, 16.0)


def level(grid, scores, left=0.0):
    """Return a level whose boxes begin at `left` and are one pixel wide."""
    boxes = np.tile(np.array([left, 0.0, left + 1.0, 1.0], np.float32), (1, len(scores), 1))
    return Level(grid, paddle.to_tensor(boxes), paddle.to_tensor(np.array([scores], np.float32)))


def fused(*looks):
    boxes, scores = fuse(looks)
    return boxes.numpy()[0], scores.numpy()[0]


def test_one_look_stays_as_it_is():
    boxes, scores = fused([level(FINE, [[0.1], [0.9]], left=3.0), level(COARSE, [[0.4]])])
    np.testing.assert_array_equal(scores, np.float32([[0.1], [0.9], [0.4]]))
    np.testing.assert_array_equal(boxes[:, 0], [3.0, 3.0, 0.0])


def test_cells_of_one_grid_become_one_and_what_only_one_look_sees_counts_less():
    boxes, scores = fused(
        [level(FINE, [[0.8], [0.2]], left=0.0), level(COARSE, [[0.6]])],
        [level(FINE, [[0.2], [0.6]], left=4.0)],
    )
    both = [0.8 * (1 - OTHERS_SHARE) + 0.2 * OTHERS_SHARE, 0.6 * (1 - OTHERS_SHARE) + 0.2 * OTHERS_SHARE]
    np.testing.assert_allclose(scores[:, 0], [*both, 0.6 * (1 - OTHERS_SHARE)], rtol=1e-6)
    np.testing.assert_allclose(boxes[:, 0], [0.8, 3.0, 0.0], rtol=1e-6)


def test_looks_that_agree_keep_their_score():
    _, scores = fused([level(FINE, [[0.7], [0.3]])], [level(FINE, [[0.7], [0.3]])], [level(FINE, [[0.7], [0.3]])])
    np.testing.assert_allclose(scores[:, 0], [0.7, 0.3], rtol=1e-6)


@pytest.mark.parametrize("other", [(2, 2, 8.0), (2, 1, 10.0)])
def test_cells_of_other_grids_stay_apart(other):
    _, scores = fused([level(FINE, [[0.7], [0.3]])], [level(other, [[0.5]])])
    np.testing.assert_allclose(scores[:, 0], np.float64([0.7, 0.3, 0.5]) * (1 - OTHERS_SHARE), rtol=1e-6)


def test_classes_keep_apart_and_the_best_one_weighs_a_box():
    boxes, scores = fused([level(COARSE, [[0.6, 0.0]], left=0.0)], [level(COARSE, [[0.0, 0.2]], left=4.0)])
    np.testing.assert_allclose(scores, [[0.6 * (1 - OTHERS_SHARE), 0.2 * (1 - OTHERS_SHARE)]], rtol=1e-6)
    np.testing.assert_allclose(boxes[:, 0], [1.0], rtol=1e-6)


def test_where_nothing_is_seen_a_box_is_still_a_number():
    boxes, scores = fused([level(COARSE, [[0.0]], left=0.0)], [level(COARSE, [[0.0]], left=4.0)])
    assert np.isfinite(boxes).all()
    assert not scores.any()
