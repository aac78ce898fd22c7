"""`picoseek watch`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click
from rich.table import Table

from picoseek.async_client import AsyncClient
from picoseek.async_recognizer import AsyncRecognizer, RecognizerConfig
from picoseek.cli.connection_options import connection_options
from picoseek.cli.json_option import json_option
from picoseek.cli.output import answers, notes, print_json, progress_bar
from picoseek.cli.recognizer_options import recognizer_options
from picoseek.connection import ConnectionConfig
from picoseek.drawing import draw_recognition
from picoseek.picture import Pixels
from picoseek.recognition_json import frame_json
from picoseek.stream import Frame
from picoseek.video import VideoReader, VideoWriter


@click.command()
@click.argument("video")
@click.option("--gallery", "name", required=True, help="Gallery of the known things.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Annotated video (.mp4).")
@json_option
@recognizer_options
@connection_options
def watch(
    config: ConnectionConfig,
    video: str,
    name: str,
    out: Path | None,
    as_json: bool,
    recognizer: RecognizerConfig,
) -> None:
    """Say what is in each frame of VIDEO, a file or the address of a stream.

    With --json a JSON object a frame is written as soon as the frame is done.
    """
    seen = asyncio.run(_watch(config, video, name, out, as_json, recognizer))
    if not as_json:
        _show(seen, out)


class _Seen:
    """What came up, and when."""

    def __init__(self, frames_per_second: float) -> None:
        self.rate = frames_per_second
        self.frames = 0
        self.dropped = 0
        self.failed = 0
        self.first_failure = ""
        self.count: Counter[str] = Counter()
        self.first: dict[str, int] = {}
        self.last: dict[str, int] = {}

    def note(self, frame_id: int, labels: set[str]) -> None:
        self.count.update(labels)
        for label in labels:
            self.first.setdefault(label, frame_id)
            self.last[label] = frame_id


async def _watch(
    config: ConnectionConfig, video: str, name: str, out: Path | None, as_json: bool, options: RecognizerConfig
) -> _Seen:
    with ExitStack() as stack:
        reader = stack.enter_context(VideoReader(video))
        writer = stack.enter_context(VideoWriter(out, reader.frames_per_second)) if out else None
        bar = stack.enter_context(progress_bar())
        task = bar.add_task(f"watching {Path(video).name}", total=reader.frame_count)
        seen = _Seen(reader.frames_per_second)
        under_way: dict[int, Pixels] = {}

        def frames() -> Iterator[Frame]:
            for number, pixels in enumerate(reader.frames()):
                under_way[number] = pixels
                yield Frame(number, pixels)

        async with AsyncClient(config) as client:
            recognizer = AsyncRecognizer(name, client, options)
            async for frame in recognizer.recognize_stream(frames()):
                pixels = under_way.pop(frame.frame_id)
                recognition = frame.recognition
                seen.frames += 1
                seen.dropped += recognition is None
                if recognition is not None:
                    if recognition.error is not None:
                        seen.failed += 1
                        seen.first_failure = (
                            seen.first_failure or f"frame {frame.frame_id}: {recognition.error.message}"
                        )
                    seen.note(frame.frame_id, {found.label for found in recognition.objects if found.label})
                if writer is not None:
                    writer.write(draw_recognition(pixels, recognition) if recognition else pixels)
                if as_json:
                    print_json(frame_json(frame), indent=None)
                bar.update(task, completed=seen.frames)
    return seen


def _show(seen: _Seen, out: Path | None) -> None:
    table = Table("seen", "frames", "first", "last", box=None)
    for label, count in seen.count.most_common():
        first, last = (f"{frames[label] / seen.rate:.1f} s" for frames in (seen.first, seen.last))
        table.add_row(label, str(count), first, last)
    console = answers()
    console.print(table if seen.count else "nothing of the gallery was seen")
    console.print(f"{seen.frames} frames, {seen.dropped} left out, {seen.failed} failed", style="dim")
    if seen.first_failure:
        notes().print(f"the first that failed is {seen.first_failure}", style="yellow")
    if out is not None:
        console.print(f"-> {out}", style="dim")
