import numpy as np
import paddle
from picoseek_training.networks.picodet.decode import distances_to_boxes, expected_distances, make_priors


def test_priors_are_cell_centres_row_by_row():
    priors = make_priors([(2, 3), (1, 1)], [8, 16])
    assert priors.level_sizes == (6, 1)
    np.testing.assert_array_equal(priors.points[:4], [[4, 4], [12, 4], [20, 4], [4, 12]])
    np.testing.assert_array_equal(priors.points[6], [8, 8])
    np.testing.assert_array_equal(priors.anchors(5.0)[6], [-32, -32, 48, 48])


def test_a_sharp_distribution_decodes_to_its_bin():
    logits = np.full((1, 1, 4, 8), -50.0, np.float32)
    for side, distance in enumerate((0, 1, 2, 7)):
        logits[0, 0, side, distance] = 50.0
    distances = expected_distances(paddle.to_tensor(logits.reshape(1, 1, 32)), reg_max=7)
    np.testing.assert_allclose(distances.numpy(), [[[0, 1, 2, 7]]], atol=1e-5)
    boxes = distances_to_boxes(paddle.to_tensor([[10.0, 20.0]]), distances)
    np.testing.assert_allclose(boxes.numpy(), [[[10, 19, 12, 27]]], atol=1e-5)
