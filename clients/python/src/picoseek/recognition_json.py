"""Recognitions as plain values for JSON."""

from __future__ import annotations

import math
from typing import Any

from picoseek.recognition import Candidate, FrameRecognition, Recognition, RecognizedObject
from picoseek.verdict import Explanation, Verdict

JsonObject = dict[str, Any]
"""Values that `json.dumps` takes."""


def recognition_json(recognition: Recognition) -> JsonObject:
    """Return what is in a picture."""
    if recognition.error is not None:
        return {"id": recognition.id, "error": recognition.error.message, "reason": recognition.error.reason}
    timings = recognition.timings
    return {
        "id": recognition.id,
        "width": recognition.width,
        "height": recognition.height,
        "objects": [_object_json(found) for found in recognition.objects],
        "milliseconds": {
            "decode": timings.decode_us / 1000,
            "detect": (timings.detect_preprocess_us + timings.detect_queue_us + timings.detect_us) / 1000,
            "embed": (timings.embed_preprocess_us + timings.embed_queue_us + timings.embed_us) / 1000,
            "detect_embed": timings.total_us / 1000,
            "search": recognition.search_us / 1000,
        },
    }


def frame_json(frame: FrameRecognition) -> JsonObject:
    """Return what is in a frame, or why it was left out."""
    if frame.recognition is None:
        return {"frame": frame.frame_id, "dropped": frame.dropped.value if frame.dropped else "unspecified"}
    return {"frame": frame.frame_id, **recognition_json(frame.recognition)}


def _object_json(found: RecognizedObject) -> JsonObject:
    runner_up = found.runner_up
    return {
        "label": found.label,
        "item": found.item,
        "score": found.score,
        "known": found.known,
        "box": [round(value, 2) for value in found.box.as_list()],
        "source": found.source.value,
        "detector_score": found.detector_score,
        "nearest": _candidate_json(found.candidates[0]) if found.candidates else None,
        "runner_up": _candidate_json(runner_up) if runner_up else None,
        **({} if found.verdict is None else {"verdict": _verdict_json(found.verdict)}),
        **({} if found.explanation is None else {"explanation": explanation_json(found.explanation)}),
    }


def explanation_json(explanation: Explanation) -> JsonObject:
    """Return why a nearest item is the nearest."""
    provenance = explanation.provenance
    return {
        "reference": explanation.id,
        "item": explanation.item,
        "score": explanation.score,
        "source": provenance.source,
        "crop_box": provenance.crop_box.as_list() if provenance.crop_box else None,
        "request_id": provenance.request_id,
        "added_at": provenance.added_at.isoformat() if provenance.added_at else None,
        "runner_up": {
            "reference": explanation.runner_up_id,
            "item": explanation.runner_up_item,
            "score": explanation.runner_up_score,
        }
        if explanation.runner_up_id
        else None,
        "exact": explanation.exact,
        "segment": explanation.segment,
        "segments": [
            {
                "segment": segment.segment,
                "kind": segment.kind,
                "documents": segment.documents,
                "exact": segment.exact,
                "candidates": segment.candidates,
                "cells": segment.cells,
            }
            for segment in explanation.segments
        ],
    }


def _verdict_json(verdict: Verdict) -> JsonObject:
    # JSON has neither infinity nor NaN.
    return {
        "kind": verdict.kind.value,
        "probability": verdict.probability,
        "margin": verdict.margin if math.isfinite(verdict.margin) else None,
        "threshold": verdict.threshold if math.isfinite(verdict.threshold) else None,
    }


def _candidate_json(candidate: Candidate) -> JsonObject:
    return {
        "id": candidate.id,
        "item": candidate.item,
        "label": candidate.label,
        "score": candidate.score,
    }
