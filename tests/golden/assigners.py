"""Assignment of ground truth to cells."""

from __future__ import annotations

import numpy as np
from picoseek_training.assigners.assignment import Assignment, PaddedTruth
from picoseek_training.assigners.atss import AtssAssigner
from picoseek_training.assigners.simota import SimOtaAssigner
from picoseek_training.assigners.task_aligned import TaskAlignedAssigner

from golden.comparison import Comparison
from golden.golden_file import GoldenFile, NotCovered

SIMOTA_UNUSED = {"use_vfl"}


def covers(file: GoldenFile) -> bool:
    return file.has("anchors", "points", "gt_bboxes", "pad_gt_mask")


def check(file: GoldenFile, comparison: Comparison) -> None:
    arrays, meta = file.arrays, file.meta
    truth = PaddedTruth(
        arrays["gt_bboxes"], arrays["gt_labels"][..., 0].astype(np.int64), arrays["pad_gt_mask"][..., 0] > 0
    )
    for prefix, force, with_predictions in (
        ("atss", False, True),
        ("atss_force", True, True),
        ("atss_noiou", False, False),
    ):
        assigner = AtssAssigner(num_classes=meta["num_classes"], force_gt_matching=force, **meta.get("atss", {}))
        predictions = arrays["pred_bboxes"] if with_predictions else None
        assignment = assigner(arrays["anchors"], arrays["num_anchors_list"].tolist(), truth, predictions)
        _compare(prefix, assignment, file, comparison)
    aligned = TaskAlignedAssigner(num_classes=meta["num_classes"], **meta.get("tal", {}))
    assignment = aligned(arrays["points"], truth, arrays["pred_bboxes"], arrays["pred_scores"])
    _compare("tal", assignment, file, comparison)
    for prefix in sorted(key for key in meta if key.startswith("simota")):
        _check_simota(prefix, truth, file, comparison)


def _check_simota(prefix: str, truth: PaddedTruth, file: GoldenFile, comparison: Comparison) -> None:
    arrays = file.arrays
    if file.meta[prefix].get("use_vfl") is False:
        raise NotCovered("SimOTA with a classification cost other than varifocal")
    arguments = {key: value for key, value in file.meta[prefix].items() if key not in SIMOTA_UNUSED}
    assigner = SimOtaAssigner(num_classes=file.meta["num_classes"], **arguments)
    cells = arrays["center_and_stride"]
    for picture, valid in enumerate(truth.valid):
        assigned = assigner(
            arrays["pred_scores"][picture],
            cells[:, :2],
            cells[:, 2:3],
            arrays["pred_bboxes"][picture],
            truth.boxes[picture, valid],
            truth.labels[picture, valid],
        )
        key = f"{prefix}_img{picture}"
        comparison.exact(f"{key}_pos_num", np.asarray(assigned.positives), arrays[f"{key}_pos_num"])
        comparison.exact(f"{key}_label", assigned.labels, arrays[f"{key}_label"])
        comparison.loss(f"{key}_bbox_target", assigned.boxes, arrays[f"{key}_bbox_target"])


def _compare(prefix: str, assignment: Assignment, file: GoldenFile, comparison: Comparison) -> None:
    if f"{prefix}_labels" in file.arrays:
        comparison.exact(f"{prefix}_labels", assignment.labels, file.arrays[f"{prefix}_labels"])
    if f"{prefix}_bboxes" in file.arrays:
        positive = assignment.labels != file.meta["num_classes"]
        expected = file.arrays[f"{prefix}_bboxes"]
        comparison.loss(f"{prefix}_bboxes", assignment.boxes[positive], expected[positive])
    if f"{prefix}_scores" in file.arrays:
        comparison.loss(f"{prefix}_scores", assignment.scores, file.arrays[f"{prefix}_scores"])
