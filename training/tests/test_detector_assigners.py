import numpy as np
import pytest
from picoseek_training.assigners.assignment import PaddedTruth
from picoseek_training.assigners.atss import AtssAssigner
from picoseek_training.assigners.simota import SimOtaAssigner
from picoseek_training.assigners.task_aligned import TaskAlignedAssigner
from picoseek_training.networks.picodet.decode import make_priors

PRIORS = make_priors([(8, 8), (4, 4)], [8, 16])
BOX = np.array([[8, 8, 40, 40]], np.float32)
ANCHORS = PRIORS.anchors(5.0)


def truth(boxes, pictures=1):
    count = len(boxes)
    return PaddedTruth(
        np.tile(boxes[None], (pictures, 1, 1)), np.zeros((pictures, count), np.int64), np.ones((pictures, count), bool)
    )


def inside(points, box):
    return ((points > box[:2]) & (points < box[2:])).all(axis=1)


def test_atss_positives_lie_inside_their_box():
    assignment = AtssAssigner(num_classes=1)(ANCHORS, PRIORS.level_sizes, truth(BOX))
    positive = assignment.labels[0] == 0
    assert positive.any()
    assert inside(PRIORS.points, BOX[0])[positive].all()
    np.testing.assert_array_equal(assignment.boxes[0][positive], np.tile(BOX, (positive.sum(), 1)))
    assert (assignment.scores[0, positive] == 1).all()


def test_atss_scores_are_the_overlaps_of_the_predictions():
    predictions = np.tile(BOX, (1, len(ANCHORS), 1))
    predictions[0, :, 2] = 24  # half of the box
    assignment = AtssAssigner(num_classes=1)(ANCHORS, PRIORS.level_sizes, truth(BOX), predictions)
    positive = assignment.labels[0] == 0
    np.testing.assert_allclose(assignment.scores[0, positive], 0.5, rtol=1e-6)


def test_atss_says_when_a_level_is_too_small():
    priors = make_priors([(2, 2)], [64])
    with pytest.raises(ValueError, match="9 anchors"):
        AtssAssigner(num_classes=1)(priors.anchors(5.0), priors.level_sizes, truth(BOX))


def test_task_aligned_takes_the_best_cells_and_scales_their_scores_to_the_best_overlap():
    predictions = np.tile(BOX, (1, len(ANCHORS), 1))
    probabilities = np.linspace(0.1, 0.9, len(ANCHORS), dtype=np.float32).reshape(1, -1, 1)
    assignment = TaskAlignedAssigner(topk=3, num_classes=1)(PRIORS.points, truth(BOX), predictions, probabilities)
    positive = np.flatnonzero(assignment.labels[0] == 0)
    candidates = np.flatnonzero(inside(PRIORS.points, BOX[0]))
    np.testing.assert_array_equal(positive, candidates[-3:])
    assert assignment.scores.max() == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("assign", ["atss", "task_aligned"])
def test_pictures_without_boxes_are_background(assign):
    nothing = truth(np.zeros((0, 4), np.float32), pictures=2)
    if assign == "atss":
        assignment = AtssAssigner(num_classes=1)(ANCHORS, PRIORS.level_sizes, nothing)
    else:
        zeros = np.zeros((2, len(ANCHORS), 4), np.float32)
        assignment = TaskAlignedAssigner(num_classes=1)(PRIORS.points, nothing, zeros, zeros[..., :1])
    assert (assignment.labels == 1).all()
    assert not assignment.scores.any()


def test_simota_gives_every_box_at_least_one_cell():
    boxes = np.array([[8, 8, 40, 40], [30, 30, 50, 50]], np.float32)
    probabilities = np.full((len(ANCHORS), 1), 0.5, np.float32)
    assigned = SimOtaAssigner(num_classes=1)(
        probabilities, PRIORS.points, PRIORS.strides, ANCHORS, boxes, np.zeros(2, np.int64)
    )
    positive = assigned.labels == 0
    assert assigned.positives == positive.sum()
    assert len(np.unique(assigned.boxes[positive], axis=0)) == 2
