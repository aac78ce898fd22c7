"""The demo's course: fill a gallery, ask about pictures, stream a clip."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
from picoseek import Client, Frame, Gallery, ModelTask, Recognition, Recognizer
from picoseek.drawing import draw_recognition
from picoseek.video import VideoWriter
from rich.console import Console
from rich.progress import Progress

from demo.cases import Cases
from demo.report import Answer, Report
from demo.sources import Pixels

GALLERY = "demo"
MOST_FRAMES = 132
FRAMES_PER_SECOND = 25.0


def run_demo(cases: Cases, client: Client, output: Path, console: Console) -> Report:
    """Run everything against services that serve, and write pictures and the report below `output`.

    Args:
        cases: gallery, questions and clip.
        client: how to reach the services.
        output: folder; what an earlier run left there is replaced.
        console: for progress.
    """
    for name in ("gallery", "recognized"):
        shutil.rmtree(output / name, ignore_errors=True)
    with Progress(console=console, transient=True) as progress:
        references = _fill_gallery(cases, client, output / "gallery", progress)
        recognizer = Recognizer(GALLERY, client)
        embedder = next(m.name for m in client.models() if m.task is ModelTask.EMBEDDING and m.is_default)
        report = Report(embedder, references, recognizer.threshold())
        _ask(cases, recognizer, output / "recognized", report, progress)
        _stream(cases, recognizer, output / "clip.mp4", report, progress)
    report.write(output / "report.json")
    return report


def _fill_gallery(cases: Cases, client: Client, folder: Path, progress: Progress) -> int:
    for reference in cases.references():
        (folder / reference.label).mkdir(parents=True, exist_ok=True)
        _write(folder / reference.label / f"{reference.name}.png", reference.pixels)
    task = progress.add_task("filling the gallery", total=None)
    result = Gallery(GALLERY, client).add_pictures(
        folder, report=lambda state: progress.update(task, completed=state.done, total=state.total)
    )
    for name, reason in result.failed:
        progress.console.print(f"[yellow]left out {name}: {reason}[/]")
    return result.added + result.unchanged


def _ask(cases: Cases, recognizer: Recognizer, folder: Path, report: Report, progress: Progress) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for question in progress.track(list(cases.questions()), description="recognising pictures"):
        encoded = cv2.imencode(".jpg", question.pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        recognition = recognizer.recognize(encoded)
        best = recognition.best
        nearest = best or next(iter(recognition.objects), None)
        score = None if nearest is None or nearest.score is None else round(nearest.score, 4)
        report.add(
            Answer(question.name, question.how, question.label, best.label if best else None, score), recognition
        )
        _write(folder / f"{question.name}.jpg", draw_recognition(question.pixels, recognition, min_side=480))


def _stream(cases: Cases, recognizer: Recognizer, path: Path, report: Report, progress: Progress) -> None:
    sent: dict[int, Pixels] = {}
    task = progress.add_task("streaming a clip", total=None)

    def frames() -> Iterator[Frame]:
        for number, pixels in enumerate(islice(cases.clip(), MOST_FRAMES)):
            sent[number] = pixels
            yield Frame(number, cv2.imencode(".jpg", pixels)[1].tobytes())

    started = time.perf_counter()
    answers: list[tuple[int, Recognition]] = []
    for answer in recognizer.recognize_stream(frames()):
        if answer.recognition is not None and answer.recognition.error is None:
            answers.append((answer.frame_id, answer.recognition))
            report.frames += 1
            report.frame_objects += len(answer.recognition.objects)
        progress.update(task, completed=report.frames)
    report.seconds_streaming = time.perf_counter() - started
    with VideoWriter(path, FRAMES_PER_SECOND) as writer:
        size: tuple[int, int] | None = None
        for number, recognition in answers:
            drawn = draw_recognition(sent[number], recognition)
            size = size or (drawn.shape[1], drawn.shape[0])
            writer.write(drawn if (drawn.shape[1], drawn.shape[0]) == size else cv2.resize(drawn, size).astype("uint8"))
            if number % 33 == 0:
                _write(path.parent / "recognized" / f"clip-frame-{number}.jpg", drawn)


def _write(path: Path, pixels: Pixels) -> None:
    # cv2.imwrite cannot write to every path that the file system allows.
    cv2.imencode(path.suffix, pixels)[1].tofile(path)
