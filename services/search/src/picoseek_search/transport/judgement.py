"""Verdicts, their reasons and what they rest on, as messages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from google.protobuf.timestamp_pb2 import Timestamp
from picoseek_protos.v1 import revision_pb2, search_pb2

from picoseek_search.calibration.calibration import Calibration
from picoseek_search.calibration.verdict import Verdict, VerdictKind
from picoseek_search.collection.calibrator import CalibrationState, why_uncalibrated
from picoseek_search.collection.collection import Collection, SearchAnswer
from picoseek_search.collection.search import Query, RunnerUp, reach_of
from picoseek_search.recall.window import RecallEstimate
from picoseek_search.segment.metric import Metric

_SHOWN_RATES = (0.001, 0.01, 0.05)
_KINDS = {
    VerdictKind.MATCH: search_pb2.VERDICT_KIND_MATCH,
    VerdictKind.AMBIGUOUS: search_pb2.VERDICT_KIND_AMBIGUOUS,
    VerdictKind.UNKNOWN: search_pb2.VERDICT_KIND_UNKNOWN,
    VerdictKind.UNCALIBRATED: search_pb2.VERDICT_KIND_UNCALIBRATED,
}


def verdicts(
    answer: SearchAnswer, calibration: Calibration | None, rate: float, metric: Metric
) -> list[search_pb2.Verdict]:
    """Return the verdict of each query of an answer that has its runners-up."""
    return [
        _verdict(best, _margin(best, second, metric), calibration, rate)
        for best, second in zip(_first_scores(answer), answer.runners_up, strict=True)
    ]


def explanations(answer: SearchAnswer, query: Query) -> list[search_pb2.Explanation]:
    """Return the explanation of each query of an answer that has its runners-up and first documents."""
    found = answer.found
    segments = [
        search_pb2.SegmentSearch(
            segment=target.part.number,
            kind=target.part.segment.kind,
            documents=target.selected.count,
            exact=reach.is_exact,
            candidates=reach.candidates,
            cells=reach.cells,
        )
        for target, reach in zip(answer.targets, reach_of(answer.targets, query), strict=True)
    ]
    exact = all(segment.exact for segment in segments)
    explained: list[search_pb2.Explanation] = []
    for (start, end), second in zip(pairwise(found.offsets), answer.runners_up, strict=True):
        explanation = search_pb2.Explanation(exact=exact, segments=segments)
        if start < end:
            id_ = found.ids[start]
            explanation.id, explanation.item, explanation.score = id_, found.items[start], float(found.scores[start])
            explanation.provenance.CopyFrom(answer.first_documents[id_].provenance)
            explanation.segment = answer.targets[int(found.sources[start])].part.number
        if second is not None:
            explanation.runner_up_id, explanation.runner_up_item = second.id, second.item
            explanation.runner_up_score = second.score
        explained.append(explanation)
    return explained


def search_quality(collection: Collection) -> search_pb2.GetSearchQualityResponse:
    """Return what verdicts of a collection rest on, and what its live searches find."""
    state = collection.calibrator.state
    window = collection.recall.window
    response = search_pb2.GetSearchQualityResponse(unchecked_queries=window.missed)
    if state is None or state.calibration is None:
        response.uncalibrated_reason = why_uncalibrated(state)
    else:
        response.calibration.CopyFrom(_calibration(state, state.calibration))
    estimate = window.estimate()
    if estimate is not None:
        response.recall.CopyFrom(_recall(estimate))
    return response


def _verdict(best: float | None, margin: float, calibration: Calibration | None, rate: float) -> search_pb2.Verdict:
    if calibration is None:
        said = Verdict(VerdictKind.UNCALIBRATED, 0.0, margin, math.nan)
    else:
        said = calibration.verdict(best, margin, rate)
    return search_pb2.Verdict(
        kind=_KINDS[said.kind], probability=said.probability, margin=said.margin, threshold=said.threshold
    )


def _margin(best: float | None, second: RunnerUp | None, metric: Metric) -> float:
    if best is None:
        return 0.0
    if second is None:
        return math.inf
    # An approximate search for the second item may see what the first one missed.
    return max(0.0, best - second.score if metric.larger_is_closer else second.score - best)


def _first_scores(answer: SearchAnswer) -> Iterator[float | None]:
    found = answer.found
    return (float(found.scores[start]) if start < end else None for start, end in pairwise(found.offsets))


def _calibration(state: CalibrationState, calibration: Calibration) -> search_pb2.Calibration:
    made_at = Timestamp()
    made_at.FromNanoseconds(state.made_at_ns)
    return search_pb2.Calibration(
        made_at=made_at,
        revision=revision_pb2.Revision(epoch=state.revision.epoch, sequence=state.revision.sequence),
        documents=state.documents,
        references=calibration.references,
        items=calibration.items,
        paired_items=calibration.paired_items,
        copies=calibration.copies,
        independent_samples=calibration.strangers.samples,
        thresholds=_thresholds(calibration, _SHOWN_RATES),
        ambiguous_margin=calibration.ambiguous_margin,
    )


def _thresholds(calibration: Calibration, rates: Sequence[float]) -> list[search_pb2.RateThreshold]:
    return [
        search_pb2.RateThreshold(
            false_accept_rate=rate, threshold=calibration.threshold(rate), true_accept_rate=calibration.known_rate(rate)
        )
        for rate in rates
    ]


def _recall(estimate: RecallEstimate) -> search_pb2.RecallEstimate:
    return search_pb2.RecallEstimate(
        recall=estimate.recall,
        lower=estimate.lower,
        upper=estimate.upper,
        queries=estimate.queries,
        window_s=estimate.window_s,
    )
