"""Which parts of a picture are embedded, and in which order."""

from __future__ import annotations

import math
from collections.abc import Sequence

from picoseek_chassis.errors import invalid_argument

from picoseek_detect_embed.models.detector import Detection
from picoseek_detect_embed.pipeline.outcome import Candidate, CandidateSource
from picoseek_detect_embed.pipeline.request import BoxTuple, Region, WholePolicy


def clip_box(box: BoxTuple, width: int, height: int) -> BoxTuple | None:
    """Return the box within the picture; None when that holds no whole pixel or a coordinate is not finite."""
    if not all(math.isfinite(edge) for edge in box):
        return None
    x1, y1, x2, y2 = box
    clipped = (
        min(max(x1, 0.0), float(width)),
        min(max(y1, 0.0), float(height)),
        min(max(x2, 0.0), float(width)),
        min(max(y2, 0.0), float(height)),
    )
    left, top, right, bottom = pixel_rectangle(clipped)
    return clipped if left < right and top < bottom else None


def pixel_rectangle(box: BoxTuple) -> tuple[int, int, int, int]:
    """Return the pixels of a box: each edge without its fraction, as PP-ShiTu cuts its crops."""
    x1, y1, x2, y2 = box
    return int(x1), int(y1), int(x2), int(y2)


def clip_regions(regions: Sequence[Region], width: int, height: int) -> list[Region]:
    """Return the caller's regions within the picture.

    Raises:
        ServiceError: REGION_EMPTY, naming the region of which nothing is left.
    """
    clipped: list[Region] = []
    for region in regions:
        box = clip_box(region.box, width, height)
        if box is None:
            x1, y1, x2, y2 = region.box
            raise invalid_argument(
                "REGION_EMPTY",
                f"region {region.id!r} ({x1:g}, {y1:g}, {x2:g}, {y2:g}) covers no pixel of the picture, which has "
                f"{width} x {height} px",
                region=region.id,
            )
        clipped.append(Region(region.id, box))
    return clipped


def choose_candidates(
    regions: Sequence[Region], detections: Sequence[Detection], whole: WholePolicy, width: int, height: int
) -> list[Candidate]:
    """Return regions, detections by falling score, and the whole picture as its policy says.

    Args:
        regions: clipped.
        detections: by falling score; those that hold no pixel of the picture are left out.
        whole: when the whole picture is a candidate.
        width: of the picture in pixels.
        height: of the picture in pixels.
    """
    chosen: list[Candidate] = []
    for region in regions:
        chosen.append(Candidate(len(chosen), CandidateSource.REGION, region.box, 1.0, region_id=region.id))
    for detection in detections:
        box = clip_box(detection.box, width, height)
        if box is not None:
            chosen.append(Candidate(len(chosen), CandidateSource.DETECTED, box, detection.score, detection.label))
    if whole is WholePolicy.ALWAYS or (whole is WholePolicy.FALLBACK and not chosen):
        everything = (0.0, 0.0, float(width), float(height))
        chosen.append(Candidate(len(chosen), CandidateSource.WHOLE, everything, 1.0))
    return chosen
