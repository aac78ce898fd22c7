"""Options of the commands that recognise."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from picoseek.async_recognizer import RecognizerConfig
from picoseek.detect_embed import DetectEmbedOptions, WholePicture

R = TypeVar("R")


def recognizer_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add options and pass them as `recognizer`, a RecognizerConfig."""

    @click.option(
        "--threshold", type=float, help="Score from which on an item is the answer (default: from the gallery)."
    )
    @click.option("--candidates", type=click.IntRange(min=1), default=5, show_default=True, help="Nearest items.")
    @click.option("--max-detections", type=click.IntRange(min=1), default=5, show_default=True, help="Boxes a picture.")
    @click.option(
        "--whole-picture",
        type=click.Choice([choice.value for choice in WholePicture]),
        default=WholePicture.ALWAYS.value,
        show_default=True,
        help="When the whole picture is looked up too.",
    )
    @click.option(
        "--false-accept-rate",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        metavar="SHARE",
        help="Have the search service judge each nearest item: of strangers, it accepts such a share.",
    )
    @click.option("--explain", is_flag=True, help="Tell why the nearest item of each object is the nearest.")
    @functools.wraps(command)
    def with_recognizer(
        *args: Any,
        threshold: float | None,
        candidates: int,
        max_detections: int,
        whole_picture: str,
        false_accept_rate: float | None,
        explain: bool,
        **kwargs: Any,
    ) -> R:
        detect_embed = DetectEmbedOptions(max_detections=max_detections, whole_picture=WholePicture(whole_picture))
        config = RecognizerConfig(
            threshold, candidates, detect_embed, false_accept_rate=false_accept_rate, explain=explain
        )
        return command(*args, recognizer=config, **kwargs)

    return with_recognizer
