import numpy as np
import paddle
import pytest
from picoseek_training.assigners.assignment import PaddedTruth
from picoseek_training.detector.memory import OldSelf
from picoseek_training.losses.cell_memory import CellMemory, CellMemoryLoss, cell_memory
from picoseek_training.losses.pico_head import PicoHeadV2Loss
from picoseek_training.networks.picodet.decode import make_priors
from picoseek_training.networks.registry import create

BINS = 8
NONE = np.zeros((0, 4), np.float32)


def answers(cells, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(2, cells, 4 * BINS)).astype(np.float32)
    return rng.uniform(0.05, 0.95, (2, cells)).astype(np.float32), paddle.to_tensor(logits)


def test_annotations_rule_where_there_are_any_and_the_old_self_where_there_are_none():
    scores = np.array([[0.9, 0.9, 0.05]] * 2, np.float32)
    seen = np.array([[[0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 9, 9]]] * 2, np.float32)
    box = np.array([[0, 0, 12, 12]], np.float32)
    memory = cell_memory(scores, paddle.zeros([2, 3, 32]), seen, [box, box], np.array([True, False]), 0.15)
    np.testing.assert_array_equal(memory.ignored, [[False, True, False], [False] * 3])
    np.testing.assert_array_equal(memory.kept, [[False] * 3, [False, True, True]])


def test_a_picture_without_boxes_is_kept_whole():
    memory = cell_memory(
        np.full((1, 2), 0.5, np.float32), paddle.zeros([1, 2, 32]), np.ones((1, 2, 4), np.float32),
        [NONE], np.array([False]), 0.15,
    )  # fmt: skip
    assert memory.kept.all() and not memory.ignored.any()


def test_who_answers_as_before_pays_nothing_and_who_does_not_is_pulled_back():
    scores, distributions = answers(5)
    nothing = np.zeros_like(scores, bool)
    memory = CellMemory(scores, distributions, ~nothing, nothing)
    loss = CellMemoryLoss()
    same = loss(paddle.to_tensor(scores), distributions, memory, memory.kept, BINS)
    assert [part.item() for part in same] == pytest.approx([0.0, 0.0], abs=1e-5)

    others, logits = answers(5, seed=1)
    probabilities = paddle.to_tensor(others, stop_gradient=False)
    logits.stop_gradient = False
    one_cell = np.array(memory.kept)
    one_cell[1] = False
    parts = loss(probabilities, logits, memory, one_cell, BINS)
    (parts[0] + parts[1]).backward()
    np.testing.assert_array_equal(np.sign(probabilities.grad.numpy()[0]), np.sign(others - scores)[0])
    assert not probabilities.grad.numpy()[1].any() and not logits.grad.numpy()[1].any()
    moved = loss(probabilities, logits - 0.5 * logits.grad, memory, one_cell, BINS)
    assert moved[1].item() < parts[1].item()


def test_kept_cells_are_neither_negatives_nor_without_weight():
    """A cell that is kept costs what the memory says; one that is ignored costs nothing."""
    priors = make_priors([(2, 2)], (8,))
    truth = PaddedTruth(np.zeros((1, 0, 4), np.float32), np.zeros((1, 0), np.int64), np.zeros((1, 0), bool))
    probabilities = paddle.to_tensor(np.array([[[0.9], [0.9], [0.9], [0.9]]], np.float32), stop_gradient=False)
    distributions = paddle.zeros([1, 4, 32])
    scores = np.array([[0.9, 0.2, 0.9, 0.9]], np.float32)
    kept, ignored = np.array([[True, True, False, False]]), np.array([[False, False, True, False]])
    memory = CellMemory(scores, distributions, kept, ignored)
    loss = PicoHeadV2Loss(num_classes=1)(
        probabilities, distributions, priors, truth, "task_aligned", np.zeros((1, 4), bool), memory
    )
    loss.total.backward()
    gradient = probabilities.grad.numpy()[0, :, 0]
    assert gradient[0] == pytest.approx(0.0, abs=1e-6) and gradient[2] == 0.0
    assert gradient[1] > 0.0 and gradient[3] > 0.0


def test_the_old_self_answers_with_its_best_class():
    paddle.seed(3)
    teacher = create("picodet_xs")
    image = paddle.randn([1, 3, 64, 64])
    memory = OldSelf(teacher, 0.15).remember(image, [NONE], np.array([False]))
    with paddle.no_grad():
        expected = teacher.probabilities(teacher.dense(image)).numpy().max(axis=2)
    np.testing.assert_array_equal(memory.scores, expected)
