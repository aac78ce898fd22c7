"""Where a run is, from an entry of its log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def steps_done(entry: dict[str, Any], phases: Sequence[int]) -> int | None:
    """Return the finished steps of the whole run, or None for an entry without a step.

    Args:
        entry: Of the log; `phase` counts from 0 and is left out in runs of one phase, `step` counts inside the phase.
        phases: Steps of each phase.
    """
    if "step" not in entry:
        return None
    return sum(phases[: entry.get("phase", 0)]) + int(entry["step"])
