"""What the demo measured: a table for people and a JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from picoseek import Recognition, StageTimings
from rich.console import Console
from rich.table import Table

_STAGES = ("decode", "detect_preprocess", "detect", "embed_preprocess", "embed", "total")


@dataclass(frozen=True)
class Answer:
    """A question and what came of it."""

    name: str
    """Question.name."""
    how: str
    """Question.how."""
    expected: str | None
    """The right label; None for a stranger."""
    answered: str | None
    """The surest known object's label; None: unknown."""
    score: float | None
    """Score of the surest candidate."""

    @property
    def correct(self) -> bool:
        """Whether the answer is right; unknown is right for a stranger."""
        return self.answered == self.expected


@dataclass
class Report:
    """Counts and times of one run."""

    embedder: str
    """Model that made the vectors."""
    references: int
    """Pictures in the gallery."""
    threshold: float = 0.0
    """Score from which on an item was the answer, derived from the gallery."""
    answers: list[Answer] = field(default_factory=list[Answer])
    """One a question."""
    frames: int = 0
    """Frames of the clip that were answered."""
    frame_objects: int = 0
    """Objects in them."""
    picture_objects: int = 0
    """Objects in the questions."""
    timings: list[StageTimings] = field(default_factory=list[StageTimings])
    """One a question."""
    search_us: list[int] = field(default_factory=list[int])
    """One a question, way included."""
    seconds_streaming: float = 0.0
    """From the first frame sent to the last one answered."""

    def add(self, answer: Answer, recognition: Recognition) -> None:
        """Count a question."""
        self.answers.append(answer)
        self.picture_objects += len(recognition.objects)
        self.timings.append(recognition.timings)
        self.search_us.append(recognition.search_us)

    @property
    def known(self) -> Sequence[Answer]:
        """Questions about things of the gallery."""
        return [answer for answer in self.answers if answer.expected is not None]

    @property
    def strangers(self) -> Sequence[Answer]:
        """Questions about other things."""
        return [answer for answer in self.answers if answer.expected is None]

    def stage_milliseconds(self) -> dict[str, dict[str, float]]:
        """Return median and 95 % quantile of each stage, over the questions."""
        columns = {stage: [getattr(timing, f"{stage}_us") for timing in self.timings] for stage in _STAGES}
        columns["search"] = self.search_us
        return {
            stage: {
                "median": round(float(np.median(values)) / 1000, 2),
                "p95": round(float(np.quantile(values, 0.95)) / 1000, 2),
            }
            for stage, values in columns.items()
            if values
        }

    def write(self, path: Path) -> None:
        """Write the JSON file."""
        content = {
            "embedder": self.embedder,
            "references": self.references,
            "threshold": round(self.threshold, 4),
            "known": len(self.known),
            "correct_at_1": sum(answer.correct for answer in self.known),
            "strangers": len(self.strangers),
            "strangers_rejected": sum(answer.correct for answer in self.strangers),
            "frames": self.frames,
            "objects": self.picture_objects + self.frame_objects,
            "frames_per_second": round(self.frames / self.seconds_streaming, 2) if self.seconds_streaming else 0.0,
            "milliseconds": self.stage_milliseconds(),
            "answers": [
                {
                    "name": answer.name,
                    "how": answer.how,
                    "expected": answer.expected,
                    "answered": answer.answered,
                    "score": answer.score,
                }
                for answer in self.answers
            ],
        }
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def show(self, console: Console) -> None:
        """Print the answers, the counts and the times."""
        table = Table(title="Questions", title_justify="left", pad_edge=False)
        for column in ("picture", "what it shows", "answer"):
            table.add_column(column, overflow="fold")
        table.add_column("score", justify="right")
        table.add_column("")
        for answer in self.answers:
            table.add_row(
                f"{answer.name}" if answer.expected is None else f"{answer.expected}: {answer.how}",
                answer.expected or "stranger",
                answer.answered or "unknown",
                "" if answer.score is None else f"{answer.score:.2f}",
                "[green]right[/]" if answer.correct else "[red]wrong[/]",
            )
        console.print(table)
        times = Table(title="Milliseconds a picture", title_justify="left", pad_edge=False)
        for column in ("stage", "median", "p95"):
            times.add_column(column, justify="left" if column == "stage" else "right")
        for stage, figures in self.stage_milliseconds().items():
            times.add_row(stage.replace("_", " "), f"{figures['median']:.1f}", f"{figures['p95']:.1f}")
        console.print(times)
        known, strangers = self.known, self.strangers
        console.print(
            f"known things    {sum(answer.correct for answer in known)} of {len(known)} right\n"
            f"strangers       {sum(answer.correct for answer in strangers)} of {len(strangers)} answered as unknown\n"
            f"clip            {self.frames} frames, {self.frame_objects} objects, "
            f"{self.frames / max(self.seconds_streaming, 1e-9):.1f} frames/s\n"
            f"threshold       {self.threshold:.3f}, derived from the gallery alone"
        )
