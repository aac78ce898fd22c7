"""What a node has to do, and the memory it takes, as Prometheus hears of it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from picoseek_search.transport.process_memory import process_memory_bytes
from picoseek_search.transport.search_servicer import Admissions


class LoadMetrics(Collector):
    """Work under way and its bounds."""

    def __init__(self, admissions: Admissions) -> None:
        """Show the work that was admitted."""
        self._admissions = admissions

    def collect(self) -> Iterator[Metric]:
        """Return the figures of now."""
        for name, noun, admission in (
            ("queries{}", "Queries", self._admissions.searches),
            ("reads{}", "Calls of Get, List, Count and of CollectionService", self._admissions.reads),
            ("write{}_bytes", "Bytes of writes", self._admissions.writes),
        ):
            name = f"picoseek_search_{name}"
            yield GaugeMetricFamily(name.format("_in_flight"), f"{noun} under way or waiting.", admission.units)
            yield GaugeMetricFamily(name.format("_limit"), f"{noun} above which more are refused.", admission.limit)
        yield GaugeMetricFamily(
            "picoseek_search_memory_bytes", "Resident memory that no file backs, in bytes.", process_memory_bytes()
        )
