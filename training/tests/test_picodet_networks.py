import numpy as np
import paddle
import pytest
from picoseek_training.networks.picodet import NmsConfig
from picoseek_training.networks.picodet.nms import multiclass_nms
from picoseek_training.networks.registry import create

SIZE = 64

# Entries of the official state dicts; XS has the structure of S.
STATE_ENTRIES = {
    "picodet_xs": 463,
    "picodet_s": 463,
    "picodet_m": 543,
    "picodet_l": 543,
    "picodet_mainbody": 491,
}
# The published count has four scales more, which no computation reads.
MAINBODY_TRAINABLE = 7_043_960 - 4


@pytest.fixture(autouse=True)
def _seeded():
    paddle.seed(0)


@pytest.mark.parametrize("name", STATE_ENTRIES)
def test_every_picodet_has_the_official_state_and_answers(name):
    detector = create(name)
    detector.eval()
    assert len(detector.state_dict()) == STATE_ENTRIES[name]

    with paddle.no_grad():
        predictions = detector.dense(paddle.randn([2, 3, SIZE, SIZE]))
    cells = sum((SIZE // stride) ** 2 for stride in detector.config.strides)
    assert detector.boxes(predictions).shape == [2, cells, 4]
    assert 0 <= detector.probabilities(predictions).min().item() <= 1


def test_mainbody_has_the_published_number_of_parameters():
    parameters = create("picodet_mainbody").parameters()
    trainable = [parameter for parameter in parameters if not parameter.stop_gradient]
    assert sum(int(parameter.size) for parameter in trainable) == MAINBODY_TRAINABLE


def test_number_of_classes_can_be_chosen():
    detector = create("picodet_xs", num_classes=3)
    assert detector.head.head_cls_list[0].weight.shape[0] == 3


def test_v2_head_names_each_predictor_twice():
    detector = create("picodet_xs", num_classes=1)
    state = detector.state_dict()
    state["head.head_cls0.weight"].set_value(np.full(state["head.head_cls0.weight"].shape, 7.0, np.float32))
    assert float(state["head.head_cls_list.0.weight"].max()) == 7.0


def test_boxes_come_back_in_original_pixels():
    detector = create("picodet_xs", num_classes=1, nms=NmsConfig(score_threshold=0.0))
    detector.eval()
    image = paddle.randn([1, 3, SIZE, SIZE])
    with paddle.no_grad():
        same, _ = detector(image, paddle.to_tensor([[1.0, 1.0]]))
        larger, _ = detector(image, paddle.to_tensor([[0.5, 0.25]]))
    best_same, best_larger = same.numpy()[0], larger.numpy()[0]
    np.testing.assert_allclose(best_larger[2:], best_same[2:] * [4, 2, 4, 2], rtol=1e-4)


def test_suppression_keeps_the_best_of_overlapping_boxes_in_each_picture():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    scores = np.array([[[0.8, 0.9, 0.3]], [[0.01, 0.02, 0.01]]], np.float32)
    rows, counts = multiclass_nms(paddle.to_tensor(np.stack([boxes, boxes])), paddle.to_tensor(scores), NmsConfig())
    assert counts.numpy().tolist() == [2, 0]
    np.testing.assert_allclose(rows.numpy()[:, :2], [[0, 0.9], [0, 0.3]], rtol=1e-6)
