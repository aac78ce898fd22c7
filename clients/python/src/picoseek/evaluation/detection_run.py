"""Measures detection through the running service, so that the figures are what a user gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from picoseek.async_client import AsyncClient
from picoseek.detect_embed import DetectEmbedOptions, PictureResult, WholePicture
from picoseek.errors import InvalidArgumentError
from picoseek.evaluation.coco_file import AnnotatedPicture
from picoseek.evaluation.detection import MOST_DETECTIONS, DetectionScores, PictureBoxes, score_detections
from picoseek.evaluation.picture_batches import in_batches


@dataclass(frozen=True)
class DetectionReport:
    """What was measured."""

    scores: DetectionScores
    """Average precision, average recall, best box."""
    pictures: int
    """Pictures that were judged."""
    unusable: tuple[tuple[str, str], ...]
    """Pictures that could not be used, and why; they are left out."""
    seconds: float
    """Time for everything."""


async def measure_detection(
    client: AsyncClient,
    images: Path,
    annotated: Sequence[AnnotatedPicture],
    *,
    detector: str = "",
    report: Callable[[int, int], None] = lambda done, total: None,
) -> DetectionReport:
    """Detect in every picture of a list and compare with its truth.

    Args:
        client: how to reach the service.
        images: folder of the pictures.
        annotated: the list.
        detector: detector by name; empty: the service's default.
        report: told of the progress: done, total.

    Raises:
        InvalidArgumentError: no picture can be used.
        PicoSeekError: the service failed.
    """
    started = time.perf_counter()
    options = DetectEmbedOptions(
        detector=detector,
        skip_embedding=True,
        score_threshold=0.0,
        max_detections=MOST_DETECTIONS,
        whole_picture=WholePicture.NEVER,
    )
    judged: list[PictureBoxes] = []
    unusable: list[tuple[str, str]] = []
    paths = [images / picture.file_name for picture in annotated]
    done = 0
    async for result in in_batches(paths, lambda inputs: client.detect_embed(inputs, options)):
        picture = annotated[done]
        done += 1
        report(done, len(annotated))
        if isinstance(result, InvalidArgumentError):
            unusable.append((str(images / picture.file_name), result.message))
        else:
            judged.append(_joined(picture, result))
    if not judged:
        raise InvalidArgumentError(f"no picture can be used; are they in {images}? {unusable[0][1]}")
    return DetectionReport(score_detections(judged), len(judged), tuple(unusable), time.perf_counter() - started)


def _joined(picture: AnnotatedPicture, result: PictureResult) -> PictureBoxes:
    boxes = np.array([found.box.as_list() for found in result.objects], dtype=np.float64).reshape(-1, 4)
    scores = np.array([found.detector_score for found in result.objects], dtype=np.float64)
    return PictureBoxes(picture.truths, picture.crowds, boxes, scores)
