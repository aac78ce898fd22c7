"""What several looks at a picture find is judged by each other."""

import numpy as np
import paddle
import pytest
from picoseek_training.evaluation.coco_ap import iou_matrix
from picoseek_training.networks.picodet.looks import (
    AGREEMENT_SHARE,
    BOXES_A_LOOK,
    SAME_OBJECT_IOU,
    Look,
    join,
)

OWN = 1 - AGREEMENT_SHARE


def look(*found):
    """Return a look at one picture: a left edge and a score a class of each box, which is 10 pixels wide and high."""
    boxes = np.array([[left, 0.0, left + 10.0, 10.0] for left, *_ in found], np.float32)
    scores = np.array([scores for _, *scores in found], np.float32)
    return Look(paddle.to_tensor(boxes[None]), paddle.to_tensor(scores[None]))


def joined(*looks):
    """Return left edges and scores, boxes of one look after those of another and in it the best first."""
    together = join(looks)
    return together.boxes.numpy()[0, :, 0], together.scores.numpy()[0]


def test_one_look_stays_as_it_is():
    lefts, scores = joined(look((0, 0.1), (50, 0.9)))
    np.testing.assert_array_equal(lefts, [0, 50])
    np.testing.assert_array_equal(scores, np.float32([[0.1], [0.9]]))


def test_who_finds_the_same_confirms_and_who_does_not_casts_doubt():
    lefts, scores = joined(look((0, 0.8), (50, 0.6)), look((1, 0.4)))
    np.testing.assert_allclose(
        scores[:, 0], [0.8 * OWN + 0.4 * AGREEMENT_SHARE, 0.6 * OWN, 0.4 * OWN + 0.8 * AGREEMENT_SHARE], rtol=1e-5
    )
    # Means by scores, of the box and of what confirms it.
    np.testing.assert_allclose(lefts, [0.4 / 1.2, 50.0, 0.4 / 1.2], rtol=1e-5)


def test_the_best_of_several_that_find_the_same_counts():
    lefts, scores = joined(look((0, 0.5)), look((1, 0.3), (2, 0.7)))
    np.testing.assert_allclose(scores[0], [0.5 * OWN + 0.7 * AGREEMENT_SHARE], rtol=1e-5)
    np.testing.assert_allclose(lefts[0], 2 * 0.7 / 1.2, rtol=1e-5)


def test_three_looks_that_agree_keep_their_scores_and_two_against_one_do_not():
    same = look((0, 0.6))
    np.testing.assert_allclose(joined(same, same, same)[1][:, 0], 0.6, rtol=1e-5)
    scores = joined(same, same, look((50, 0.6)))[1][:, 0]
    np.testing.assert_allclose(scores, [0.6 * (OWN + AGREEMENT_SHARE / 2)] * 2 + [0.6 * OWN], rtol=1e-5)


def test_each_class_is_confirmed_by_itself():
    _, scores = joined(look((0, 0.8, 0.1)), look((0, 0.0, 0.4)))
    np.testing.assert_allclose(scores[0], [0.8 * OWN, 0.1 * OWN + 0.4 * AGREEMENT_SHARE], rtol=1e-5)


def test_only_the_best_boxes_of_a_look_take_part():
    rng = np.random.default_rng(1)
    many = look(*((100.0 * place, score) for place, score in enumerate(rng.permutation(BOXES_A_LOOK + 50) / 1000)))
    lefts, scores = joined(many, look((0, 0.0)))
    assert len(lefts) == BOXES_A_LOOK + 1
    assert scores[:-1, 0].min() > 0.049 * OWN


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_its_description_says(seed):
    rng = np.random.default_rng(seed)
    pictures = 2
    looks = []
    for count in (7, 5, 6):
        corners = rng.uniform(0, 12, (pictures, count, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(8, 12, (pictures, count, 2))], axis=2)
        looks.append((boxes.astype(np.float32), rng.uniform(0.01, 1, (pictures, count, 2)).astype(np.float32)))
    together = join([Look(*map(paddle.to_tensor, one)) for one in looks])
    for picture in range(pictures):
        rows = []
        for place, (boxes, scores) in enumerate(looks):
            for box, own in sorted(
                zip(boxes[picture], scores[picture], strict=True), key=lambda one: one[1].max(), reverse=True
            ):
                agreed, corner, weight = np.zeros(2), box * own.max(), own.max()
                for other, (others, their_scores) in enumerate(looks):
                    same = np.flatnonzero(iou_matrix(box[None], others[picture])[0] > SAME_OBJECT_IOU)
                    if other == place or not len(same):
                        continue
                    found = their_scores[picture][same]
                    best = found.max(axis=1).argmax()
                    agreed += found.max(axis=0) / 2
                    corner = corner + others[picture][same][best] * found[best].max()
                    weight += found[best].max()
                rows.append([*(own * OWN + agreed * AGREEMENT_SHARE), *(corner / weight)])
        found = np.concatenate([together.scores.numpy()[picture], together.boxes.numpy()[picture]], axis=1)
        np.testing.assert_allclose(found, rows, rtol=1e-4, atol=1e-4)


def test_where_nothing_is_found_there_are_still_numbers():
    lefts, scores = joined(look((3, 0.0)), look((3, 0.0)))
    assert np.isfinite(lefts).all()
    assert not scores.any()
