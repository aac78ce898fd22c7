"""What the service has to do, as Prometheus hears of it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from picoseek_detect_embed.pipeline.admission import Admission


class LoadMetrics(Collector):
    """Pictures and crops under way, and their bounds."""

    def __init__(self, pictures: Admission, crops: Admission) -> None:
        """Show the work that the two have admitted."""
        self._admissions = {"pictures": pictures, "crops": crops}

    def collect(self) -> Iterator[Metric]:
        """Return the figures of now."""
        for noun, admission in self._admissions.items():
            name, subject = f"picoseek_detect_embed_{noun}", noun.capitalize()
            yield GaugeMetricFamily(f"{name}_in_flight", f"{subject} under way.", admission.pending)
            yield GaugeMetricFamily(f"{name}_limit", f"{subject} from which on more are refused.", admission.limit)
