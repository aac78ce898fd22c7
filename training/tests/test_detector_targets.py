import numpy as np
from picoseek_training.detector.config import TeacherConfig
from picoseek_training.detector.targets import annotated_targets, pseudo_targets

CONFIG = TeacherConfig(onnx="unused", target_score=0.4, ignore_score=0.15, nms_threshold=0.5)
ROWS = np.array(
    [
        [0, 0.9, 0, 0, 10, 10],
        [0, 0.3, 20, 20, 30, 30],
        [0, 0.1, 40, 40, 50, 50],
    ],
    np.float32,
)


def test_without_annotations_the_teacher_is_right_when_it_is_sure():
    targets = pseudo_targets(ROWS, CONFIG)
    np.testing.assert_array_equal(targets.boxes, ROWS[:1, 2:])
    np.testing.assert_array_equal(targets.ignored, ROWS[1:2, 2:])


def test_beside_annotations_what_only_the_teacher_sees_is_ignored():
    annotated = np.array([[0, 0, 10, 11]], np.float32)
    crowd = np.array([[60, 60, 90, 90]], np.float32)
    targets = annotated_targets(annotated, crowd, ROWS, CONFIG)
    np.testing.assert_array_equal(targets.boxes, annotated)
    np.testing.assert_array_equal(targets.ignored, np.concatenate([crowd, ROWS[1:2, 2:]]))


def test_a_picture_without_any_box():
    targets = annotated_targets(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32), ROWS[:0], CONFIG)
    assert targets.boxes.shape == targets.ignored.shape == (0, 4)
