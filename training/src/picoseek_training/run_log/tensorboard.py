"""The scalars of a run as TensorBoard event files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from picoseek_training.run_log.position import steps_done

_NO_TAG = re.compile(r"[^\w./-]+")
_NO_SCALARS = frozenset({"phase", "step", "evaluation"})


class TensorBoardScalars:
    """Writes the numbers of log entries: `train/<name>`, and `<evaluation>/<name>` for what was measured.

    Used with `with`. A run that goes on from a checkpoint replaces what was written after it.
    """

    def __init__(self, folder: Path, phases: Sequence[int]) -> None:
        """Name the place.

        Args:
            folder: Of the event files.
            phases: Steps of each phase of the run.

        Raises:
            ValueError: The library that writes event files is not installed.
        """
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ValueError(
                "event files need tensorboardX; `pip install tensorboardX` or `picoseek-training[tensorboard]`"
            ) from error
        self._new_writer = SummaryWriter
        self._folder = folder
        self._phases = phases
        self._writer: Any = None

    def __enter__(self) -> TensorBoardScalars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, entry: dict[str, Any]) -> None:
        """Write one entry of the log; entries without a step hold no scalars."""
        step = steps_done(entry, self._phases)
        if step is None:
            return
        if self._writer is None:
            self._writer = self._new_writer(str(self._folder), purge_step=step)
        group = _NO_TAG.sub("_", str(entry.get("evaluation", "train")))
        for name, value in entry.items():
            if name not in _NO_SCALARS and isinstance(value, int | float) and not isinstance(value, bool):
                self._writer.add_scalar(f"{group}/{name}", value, step)
        self._writer.flush()
