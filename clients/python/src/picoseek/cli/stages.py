"""Progress of work in stages."""

from __future__ import annotations

from rich.progress import Progress, TaskID


class Stages:
    """A progress bar a stage."""

    def __init__(self, bar: Progress) -> None:
        """Show stages in a bar.

        Args:
            bar: where.
        """
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def report(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=total)
        self._bar.update(self._tasks[stage], completed=done)
