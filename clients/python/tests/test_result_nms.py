"""Suppression of results: what stays, and in which order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picoseek.result_nms import pixel_iou, pixel_nesting, result_nms

_edges = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 40), st.integers(1, 40))
_boxes = st.lists(_edges.map(lambda e: (e[0], e[1], e[0] + e[2], e[1] + e[3])), max_size=15)


@settings(deadline=None)
@given(_boxes, st.floats(0, 1), st.randoms())
def test_what_stays_is_apart_and_what_goes_touches_something_surer(
    boxes: list, threshold: float, random: object
) -> None:
    scores = [random.random() for _ in boxes]  # type: ignore[attr-defined]
    kept = result_nms(boxes, scores, threshold)
    corners = np.array(boxes, dtype=float).reshape(-1, 4)
    assert [scores[index] for index in kept] == sorted((scores[index] for index in kept), reverse=True)
    for position, index in enumerate(kept):
        overlaps = pixel_iou(corners[index], corners[kept[:position]])
        assert (overlaps <= threshold).all()
    for index in set(range(len(boxes))) - set(kept):
        surer = [other for other in kept if scores[other] >= scores[index]]
        assert (pixel_iou(corners[index], corners[surer]) > threshold).any()


def test_overlap_counts_pixels_and_not_edges() -> None:
    # Boxes 0..9 and 5..14 in a row of one pixel height: 5 of 15 pixels are common.
    assert pixel_iou(np.array([0.0, 0, 9, 0]), np.array([[5.0, 0, 14, 0]]))[0] == pytest.approx(5 / 15)
    assert pixel_nesting(np.array([0.0, 0, 9, 9]), np.array([[2.0, 2, 4, 4]]))[0] == 1


def test_boxes_without_a_score_are_refused() -> None:
    with pytest.raises(ValueError, match="2 boxes but 1 scores"):
        result_nms([[0, 0, 1, 1], [2, 2, 3, 3]], [0.5], 0.5)
    assert result_nms([], [], 0.5) == []
