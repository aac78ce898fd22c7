"""How many calls there were, how they ended and how long they took."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from time import perf_counter

import grpc
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BUCKETS = (*map(str, _BOUNDS_S), "+Inf")
_CODES = {int(code.value[0]): code.name for code in grpc.StatusCode}


class CallTally:
    """Calls of one kind. One event loop counts them; other threads may look at the figures.

    Whoever counts adds to `under_way` himself. So a call costs a microsecond; the counters of prometheus_client each
    take a lock, and would cost four.
    """

    __slots__ = ("durations", "ended", "seconds", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        """Calls that have not ended."""
        self.ended = [0] * len(_CODES)
        """Calls by the number of the status code that they ended with."""
        self.durations = [0] * len(_BUCKETS)
        """Calls by the bucket of their time."""
        self.seconds = 0.0
        """Time of all of them together."""

    def end(self, begun: float, code: int) -> None:
        """Count a call as ended.

        Args:
            begun: `time.perf_counter()` when it began.
            code: number of its status code.
        """
        took = perf_counter() - begun
        self.under_way -= 1
        self.ended[code] += 1
        self.durations[bisect_left(_BOUNDS_S, took)] += 1
        self.seconds += took


class CallMetrics(Collector):
    """Calls of several kinds, as metrics that begin with one name."""

    def __init__(self, name: str, noun: str, labels: Sequence[str] = ()) -> None:
        """Make metrics without any calls.

        Args:
            name: what their names begin with, in the singular: "picoseek_grpc_call".
            noun: what is counted, in the plural, for their descriptions: "gRPC calls".
            labels: names of the labels that tell the kinds apart.
        """
        self._name = name
        self._noun = noun
        self._labels = tuple(labels)
        self._tallies: dict[tuple[str, ...], tuple[CallTally, bool]] = {}

    def tally(self, *labels: str, is_timed: bool = True) -> CallTally:
        """Return the tally of a kind that has none yet.

        Args:
            labels: values of its labels.
            is_timed: show how long its calls take; of streams, which last as long as callers like, that says nothing.
        """
        tally = CallTally()
        self._tallies[labels] = tally, is_timed
        return tally

    def collect(self) -> Iterator[Metric]:
        """Return the figures of now."""
        name, noun = self._name, self._noun
        ended = CounterMetricFamily(f"{name}s", f"Number of {noun} that have ended.", labels=(*self._labels, "code"))
        under_way = GaugeMetricFamily(f"{name}s_in_flight", f"Number of {noun} under way.", labels=self._labels)
        took = HistogramMetricFamily(f"{name}_duration_seconds", f"Seconds that {noun} took.", labels=self._labels)
        # Copies are made in one step, whatever the event loop does meanwhile.
        for labels, (tally, is_timed) in self._tallies.copy().items():
            for code, count in enumerate(tally.ended.copy()):
                if count:
                    ended.add_metric((*labels, _CODES[code]), count)
            under_way.add_metric(labels, tally.under_way)
            if is_timed:
                counts = accumulate(tally.durations.copy())
                took.add_metric(labels, list(zip(_BUCKETS, counts, strict=True)), tally.seconds)
        yield from (ended, under_way, took)
