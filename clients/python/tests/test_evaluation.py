"""Retrieval and detection figures against slow, obvious implementations."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picoseek.evaluation.detection import PictureBoxes, score_detections
from picoseek.evaluation.retrieval import score_similarities


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(2, 25))
def test_retrieval_figures_follow_their_definition(seed: int, queries: int, gallery: int) -> None:
    rng = np.random.default_rng(seed)
    similarities = rng.normal(size=(queries, gallery)).astype(np.float32)
    gallery_labels = rng.integers(0, 4, gallery)
    query_labels = rng.choice(gallery_labels, queries)
    scores = score_similarities(similarities, query_labels, gallery_labels, ks=(1, 3))
    recalls, precisions = {1: [], 3: []}, []  # type: ignore[var-annotated]
    for row, label in zip(similarities, query_labels, strict=True):
        order = sorted(range(gallery), key=lambda index: -row[index])
        ranks = [rank for rank, index in enumerate(order, start=1) if gallery_labels[index] == label]
        for k in recalls:
            recalls[k].append(ranks[0] <= k)
        precisions.append(np.mean([(number + 1) / rank for number, rank in enumerate(ranks)]))
    for k in recalls:
        assert scores.recall[k] == pytest.approx(np.mean(recalls[k]))
    assert scores.mean_average_precision == pytest.approx(np.mean(precisions))


def test_queries_without_a_match_do_not_count_and_none_at_all_is_an_error() -> None:
    similarities = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    scores = score_similarities(similarities, np.array([0, 9]), np.array([0, 1]))
    assert scores.queries == 1 and scores.recall[1] == 1
    with pytest.raises(ValueError, match="same labels"):
        score_similarities(similarities, np.array([8, 9]), np.array([0, 1]))


def _random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.uniform(0, 80, (count, 2))
    return np.hstack([corner, corner + rng.uniform(5, 60, (count, 2))])


@pytest.mark.parametrize("seed", range(4))
def test_detection_figures_equal_the_reference_tool(seed: int) -> None:
    coco_module = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(seed)
    pictures, annotations, results = [], [], []
    for number in range(12):
        truth = _random_boxes(rng, int(rng.integers(1, 6)))
        found = np.vstack([truth + rng.normal(0, 1.2, truth.shape), _random_boxes(rng, int(rng.integers(0, 8)))])
        scores = rng.permutation(len(found)) / 100 + 0.01 + number / 10_000
        order = np.argsort(-scores)
        pictures.append(PictureBoxes(truth, np.zeros(len(truth), bool), found[order], scores[order]))
        for box in truth:
            size = box[2:] - box[:2]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [*box[:2], *size],
                    "area": float(size.prod()),
                    "iscrowd": 0,
                }
            )
        for box, score in zip(found, scores, strict=True):
            size = box[2:] - box[:2]
            results.append({"image_id": number, "category_id": 1, "bbox": [*box[:2], *size], "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth_set = coco_module.COCO()
        truth_set.dataset = {
            "info": {},
            "images": [{"id": number} for number in range(12)],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "foreground"}],
        }
        truth_set.createIndex()
        reference = evaluation.COCOeval(truth_set, truth_set.loadRes(results), "bbox")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    ours = score_detections(pictures)
    np.testing.assert_allclose(
        [ours.average_precision, ours.average_precision_50, ours.average_recall], reference.stats[[0, 1, 8]], atol=1e-6
    )
