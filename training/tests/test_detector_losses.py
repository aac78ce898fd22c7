import numpy as np
import paddle
import pytest
from picoseek_training.assigners.assignment import PaddedTruth
from picoseek_training.losses.detection import DistributionFocalLoss, GIoULoss, QualityFocalLoss, VarifocalLoss
from picoseek_training.losses.pico_head import PicoHeadLoss, PicoHeadV2Loss
from picoseek_training.networks.picodet.decode import make_priors

PRIORS = make_priors([(24, 24), (12, 12), (6, 6), (3, 3)], [8, 16, 32, 64])
CELLS = len(PRIORS.centers)


def truth(valid):
    return PaddedTruth(np.array([[[20, 20, 90, 120]]], np.float32), np.zeros((1, 1), np.int64), np.array([[valid]]))


def test_giou_of_equal_and_of_distant_boxes():
    boxes = paddle.to_tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
    other = paddle.to_tensor([[0.0, 0.0, 1.0, 1.0], [9.0, 0.0, 10.0, 1.0]])
    np.testing.assert_allclose(GIoULoss()(boxes, other).numpy().ravel(), [0.0, 1.8], atol=1e-6)


def test_giou_gradient_is_finite_for_boxes_that_do_not_touch():
    boxes = paddle.to_tensor([[0.0, 0.0, 1.0, 1.0]], stop_gradient=False)
    GIoULoss()(boxes, paddle.to_tensor([[5.0, 5.0, 6.0, 6.0]])).sum().backward()
    assert np.isfinite(boxes.grad.numpy()).all()


def test_distribution_focal_loss_is_least_between_the_right_bins():
    target = paddle.to_tensor([2.25])
    right = np.full((1, 8), -30.0, np.float32)
    right[0, 2:4] = np.log([0.75, 0.25])
    wrong = np.roll(right, 1, axis=1)
    loss = DistributionFocalLoss()
    assert loss(paddle.to_tensor(right), target) < loss(paddle.to_tensor(wrong), target)


def test_varifocal_and_quality_focal_vanish_for_perfect_answers():
    logits = paddle.to_tensor([[40.0, -40.0]])
    assert VarifocalLoss()(logits, paddle.to_tensor([[1.0, 0.0]])).item() == pytest.approx(0.0, abs=1e-6)
    quality = QualityFocalLoss()(logits, paddle.to_tensor([0]), paddle.to_tensor([1.0]))
    assert quality.item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("assigner", ["atss", "task_aligned"])
@pytest.mark.parametrize("valid", [True, False])
def test_v2_loss_is_finite_and_has_gradients(assigner, valid):
    paddle.seed(1)
    scores = paddle.nn.functional.sigmoid(paddle.randn([1, CELLS, 1]))
    scores.stop_gradient = False
    reg = paddle.randn([1, CELLS, 32])
    reg.stop_gradient = False
    loss = PicoHeadV2Loss(num_classes=1)(scores, reg, PRIORS, truth(valid), assigner)
    loss.total.backward()
    assert np.isfinite(loss.total.numpy())
    assert np.isfinite(scores.grad.numpy()).all() and np.isfinite(reg.grad.numpy()).all()
    assert (loss.box.item() > 0) == valid


def test_ignored_cells_are_no_negatives():
    scores = paddle.full([1, CELLS, 1], 0.9)
    scores.stop_gradient = False
    ignored = np.zeros((1, CELLS), bool)
    ignored[0, :100] = True
    loss = PicoHeadV2Loss(num_classes=1)(
        scores, paddle.zeros([1, CELLS, 32]), PRIORS, truth(False), "task_aligned", ignored
    )
    loss.classification.backward()
    assert not scores.grad.numpy()[0, :100].any()
    assert scores.grad.numpy()[0, 100:].all()


@pytest.mark.parametrize("valid", [True, False])
def test_legacy_loss_is_finite(valid):
    paddle.seed(1)
    loss = PicoHeadLoss(num_classes=1)(paddle.randn([1, CELLS, 1]), paddle.randn([1, CELLS, 32]), PRIORS, truth(valid))
    assert np.isfinite(loss.total.numpy())
