import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from picoseek_training.evaluation.coco_ap import PictureDetections, detection_metrics, iou_matrix

BOX = np.array([[10, 10, 50, 50]], np.float32)


def picture(boxes, scores, truth):
    return PictureDetections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(truth, np.float32)
    )


def test_perfect_detections_have_ap_1():
    metrics = detection_metrics([picture(BOX, [0.9], BOX)])
    assert (metrics.ap, metrics.ap50, metrics.ar, metrics.best_box_iou50) == (1.0, 1.0, 1.0, 1.0)


def test_a_better_scored_miss_costs_precision_and_the_best_box():
    metrics = detection_metrics([picture([[60, 60, 80, 80], *BOX], [0.9, 0.8], BOX)])
    assert metrics.ap50 == pytest.approx(0.5)
    assert metrics.best_box_iou50 == 0.0


def test_nothing_found_and_nothing_there():
    nothing = picture([], [], np.zeros((0, 4)))
    assert detection_metrics([picture([], [], BOX), nothing]).ap == 0.0
    assert np.isnan(detection_metrics([nothing]).ap)


def test_iou_of_boxes_without_area_is_0():
    assert iou_matrix(np.zeros((1, 4), np.float32), np.zeros((1, 4), np.float32)).item() == 0.0


@pytest.mark.parametrize("crowded", [False, True])
def test_agrees_with_pycocotools(crowded):
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(3)
    pictures = [_random_picture(rng) for _ in range(30)]
    if crowded:
        # A crowd beside each picture's objects and false detections, and one over all of every third picture.
        pictures = [
            replace(each, ignored=np.array([[0, 0, 200, 200] if index % 3 == 0 else [0, 0, 90, 90]], np.float32))
            for index, each in enumerate(pictures)
        ]
    images = [{"id": index + 1, "width": 200, "height": 200} for index in range(len(pictures))]
    annotations, results = [], []
    for index, each in enumerate(pictures):
        for x1, y1, x2, y2 in each.truth.tolist():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
        for x1, y1, x2, y2 in each.ignored.tolist():
            box = [x1, y1, x2 - x1, y2 - y1]
            area = (x2 - x1) * (y2 - y1)
            number = len(annotations) + 1
            annotations.append(
                {"id": number, "image_id": index + 1, "category_id": 1, "bbox": box, "area": area, "iscrowd": 1}
            )
        for (x1, y1, x2, y2), score in zip(each.boxes.tolist(), each.scores.tolist(), strict=True):
            results.append(
                {"image_id": index + 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        reference = coco.COCO()
        reference.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "x"}]}
        reference.createIndex()
        evaluation = cocoeval.COCOeval(reference, reference.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()

    metrics = detection_metrics(pictures)
    assert metrics.ap == pytest.approx(evaluation.stats[0], abs=1e-6)
    assert metrics.ap50 == pytest.approx(evaluation.stats[1], abs=1e-6)
    assert metrics.ar == pytest.approx(evaluation.stats[8], abs=1e-6)


def _random_picture(rng):
    corner = rng.uniform(0, 140, (rng.integers(0, 5), 2))
    truth = np.concatenate([corner, corner + rng.uniform(10, 60, corner.shape)], axis=1)
    found = np.repeat(truth, 3, axis=0) + rng.normal(0, 6, (3 * len(truth), 4))
    stray = rng.uniform(0, 140, (4, 2))
    boxes = np.concatenate([found, np.concatenate([stray, stray + 30], axis=1)])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    return picture(boxes, rng.permutation(len(boxes)) / len(boxes) + rng.uniform(0, 1e-3, len(boxes)), truth)
