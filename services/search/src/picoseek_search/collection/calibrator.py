"""Keeps a collection calibrated, beside searches and writes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from picoseek_search.calibration import calibration_file
from picoseek_search.calibration.calibration import LEAST_ITEMS, Calibration, TooFewItemsError
from picoseek_search.calibration.calibration_file import CalibrationFileError, Measurement
from picoseek_search.calibration.scale import Scale
from picoseek_search.collection.idle_alarm import After, after
from picoseek_search.collection.left_out import measure
from picoseek_search.collection.snapshot import Snapshot
from picoseek_search.collection.specification import Specification
from picoseek_search.collection.workers import Workers
from picoseek_search.storage.log import Revision

_LOG = logging.getLogger(__name__)

_STALE_SHARE = 0.1
_REST = 4.0
"""Pause after a measurement, as a multiple of its processor time: measuring has a fifth of a core at most."""
_SLICE_S = 0.01
_GIVE_WAY = 9.0
"""Pause after so many seconds of measuring beside searches, as a multiple of them: searches lose a tenth of a core."""
_SEARCHED_WITHIN_S = 0.1
_LONGEST_PAUSE_S = 0.5


@dataclass(frozen=True, eq=False)
class CalibrationState:
    """What verdicts rest on."""

    calibration: Calibration | None
    """None: the gallery is too small."""
    documents: int
    """Documents when it was measured."""
    revision: Revision
    """Revision then."""
    made_at_ns: int
    """When it was, nanoseconds since 1970."""
    reason: str = ""
    """Why there is no calibration."""


class _StoppedError(Exception):
    pass


class _ReplacedError(Exception):
    pass


class Calibrator:
    """Measures a gallery when a tenth of it has changed since it was measured last.

    One measurement at a time in the node, in the thread for watching. A collection is searched with what was measured
    last; what was measured is kept in a file, and the same documents give the same calibration.
    """

    def __init__(
        self,
        path: Path,
        specification: Callable[[], Specification],
        snapshot: Callable[[], Snapshot],
        workers: Workers,
        delay_s: float,
        after: After = after,
    ) -> None:
        """Take what is on disk, and measure if there is nothing that fits.

        Args:
            path: file of what was measured.
            specification: returns the collection's settings as they are now.
            snapshot: returns its newest state.
            workers: threads.
            delay_s: seconds from a change to its measurement, so that one takes in many changes.
            after: how to wait.
        """
        self._path = path
        self._specification = specification
        self._snapshot = snapshot
        self._workers = workers
        self._delay_s = delay_s
        self._after = after
        self._lock = threading.Lock()
        self._closed = False
        self._cancel: Callable[[], object] | None = None
        self._job: Future[None] | None = None
        self._changed = 0
        self._not_before = 0.0
        self._rested = 0.0
        self._state = self._load()
        self.note(0)

    @property
    def state(self) -> CalibrationState | None:
        """What verdicts rest on now; None: nothing was measured yet."""
        return self._state

    def note(self, documents: int) -> None:
        """So many documents were written or removed."""
        with self._lock:
            self._changed += documents
            if not self._closed and self._cancel is None and self._job is None and self._is_stale():
                delay_s = max(self._delay_s, self._not_before - time.monotonic())
                self._cancel = self._after(delay_s, self._start)

    def close(self) -> None:
        """Measure no more, and return when what is being measured was given up."""
        with self._lock:
            self._closed = True
            if self._cancel is not None:
                self._cancel()
            job = self._job
        if job is not None and not job.cancel():
            job.exception()

    def _is_stale(self) -> bool:
        documents = self._snapshot().live_rows
        if self._state is None:
            return documents > 0
        change = max(self._changed, abs(documents - self._state.documents))
        return change > 0 and change >= _STALE_SHARE * self._state.documents

    def _start(self) -> None:
        with self._lock:
            self._cancel = None
            if not self._closed and not self._workers.stopping.is_set():
                self._job = self._workers.watch.submit(self._run)

    def _run(self) -> None:
        begun = time.thread_time()
        self._rested = time.monotonic()
        with self._lock:
            changed = self._changed
        try:
            measurement = self._measure()
            self._state = self._judge(measurement)
            self._save(measurement)
        except _StoppedError:
            return
        except Exception:
            # Verdicts go on with what was measured before; the next change asks again.
            _LOG.exception("a collection could not be calibrated")
        finally:
            with self._lock:
                self._job = None
                self._changed -= changed
                self._not_before = time.monotonic() + _REST * (time.thread_time() - begun)
        self.note(0)

    def _measure(self) -> Measurement:
        while True:
            snapshot = self._snapshot()
            try:
                left_out = measure(snapshot, self._specification(), partial(self._check, snapshot))
                break
            except _ReplacedError:
                continue
        return Measurement(
            references=left_out.references,
            unit_length=left_out.unit_length,
            documents=snapshot.live_rows,
            epoch=snapshot.revision.epoch,
            sequence=snapshot.revision.sequence,
            made_at_ns=time.time_ns(),
        )

    def _judge(self, measurement: Measurement) -> CalibrationState:
        calibration = None
        reason = ""
        scale = Scale.of(self._specification().metric, unit_length=measurement.unit_length)
        try:
            calibration = Calibration.fit(scale, measurement.references)
        except TooFewItemsError as error:
            reason = str(error)
        revision = Revision(measurement.epoch, measurement.sequence)
        return CalibrationState(calibration, measurement.documents, revision, measurement.made_at_ns, reason)

    def _save(self, measurement: Measurement) -> None:
        try:
            calibration_file.save(self._path, measurement)
        except OSError as error:
            _LOG.warning("a calibration was not kept, it is measured again after a restart: %s", error)

    def _load(self) -> CalibrationState | None:
        try:
            measurement = calibration_file.load(self._path)
        except CalibrationFileError as error:
            _LOG.warning("a collection is calibrated anew: %s", error)
            return None
        revision = self._snapshot().revision
        # Of another epoch it is from before a restore.
        if measurement is None or measurement.epoch != revision.epoch or measurement.sequence > revision.sequence:
            return None
        return self._judge(measurement)

    def _check(self, measured: Snapshot) -> None:
        if self._closed or self._workers.stopping.is_set():
            raise _StoppedError
        now = self._snapshot()
        # The same documents in other parts: to go on would keep all the old ones in memory.
        if now.generation != measured.generation and now.revision == measured.revision:
            raise _ReplacedError
        worked_s = time.monotonic() - self._rested
        if worked_s >= _SLICE_S:
            if self._workers.activity.is_recent(_SEARCHED_WITHIN_S):
                self._workers.stopping.wait(min(_GIVE_WAY * worked_s, _LONGEST_PAUSE_S))
            self._rested = time.monotonic()


def why_uncalibrated(state: CalibrationState | None) -> str:
    """Return for people why a collection has no calibration; empty: it has one."""
    if state is None:
        return f"nothing was measured yet; a gallery of {LEAST_ITEMS} items or more is, moments after it was written"
    return state.reason
