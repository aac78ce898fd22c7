"""Verdicts and what they rest on as messages."""

from __future__ import annotations

from datetime import UTC

from picoseek_protos.v1 import search_pb2

from picoseek.collection import Revision
from picoseek.verdict import (
    Calibration,
    Explanation,
    RateThreshold,
    RecallEstimate,
    SearchQuality,
    SegmentSearch,
    Verdict,
    VerdictKind,
)
from picoseek.wire.enums import VERDICT_KINDS
from picoseek.wire.provenance import provenance_from


def verdict_from(message: search_pb2.Verdict) -> Verdict:
    """Return a verdict; a kind of a newer contract counts as unknown."""
    kind = VERDICT_KINDS.from_wire(message.kind, VerdictKind.UNKNOWN)
    return Verdict(kind, message.probability, message.margin, message.threshold)


def explanation_from(message: search_pb2.Explanation) -> Explanation:
    """Return an explanation."""
    return Explanation(
        id=message.id,
        item=message.item,
        score=message.score,
        provenance=provenance_from(message.provenance),
        runner_up_id=message.runner_up_id,
        runner_up_item=message.runner_up_item,
        runner_up_score=message.runner_up_score,
        exact=message.exact,
        segment=message.segment,
        segments=tuple(
            SegmentSearch(
                segment.segment, segment.kind, segment.documents, segment.exact, segment.candidates, segment.cells
            )
            for segment in message.segments
        ),
    )


def search_quality_from(message: search_pb2.GetSearchQualityResponse) -> SearchQuality:
    """Return what a collection's answers rest on."""
    recall = message.recall
    return SearchQuality(
        calibration=_calibration_from(message.calibration) if message.HasField("calibration") else None,
        uncalibrated_reason=message.uncalibrated_reason,
        recall=RecallEstimate(recall.recall, recall.lower, recall.upper, recall.queries, recall.window_s)
        if message.HasField("recall")
        else None,
        unchecked_queries=message.unchecked_queries,
    )


def _calibration_from(message: search_pb2.Calibration) -> Calibration:
    return Calibration(
        made_at=message.made_at.ToDatetime(UTC),
        revision=Revision(message.revision.epoch, message.revision.sequence),
        documents=message.documents,
        references=message.references,
        items=message.items,
        paired_items=message.paired_items,
        copies=message.copies,
        independent_samples=message.independent_samples,
        thresholds=tuple(
            RateThreshold(
                threshold.false_accept_rate,
                threshold.threshold,
                threshold.true_accept_rate if threshold.HasField("true_accept_rate") else None,
            )
            for threshold in message.thresholds
        ),
        ambiguous_margin=message.ambiguous_margin,
    )
