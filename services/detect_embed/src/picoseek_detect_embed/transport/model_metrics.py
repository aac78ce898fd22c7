"""Models as Prometheus hears of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from picoseek_detect_embed.models.catalogue import Catalogue

_PREFIX = "picoseek_detect_embed"
_LABELS = ("model",)


class ModelMetrics(Collector):
    """Queue, batches and engines of each model; figures of the event loop, read in another thread."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Show the models that a service serves."""
        self._catalogue = catalogue

    def collect(self) -> Iterator[Metric]:
        """Return the figures of now."""
        waiting = GaugeMetricFamily(f"{_PREFIX}_queue_items", "Items that wait for an engine.", labels=_LABELS)
        engines = GaugeMetricFamily(f"{_PREFIX}_engines", "Engines that there should be.", labels=_LABELS)
        ready = GaugeMetricFamily(f"{_PREFIX}_engines_ready", "Engines that take batches.", labels=_LABELS)
        sizes = HistogramMetricFamily(f"{_PREFIX}_batch_items", "Items of a batch.", labels=_LABELS)
        seconds = CounterMetricFamily(f"{_PREFIX}_engine_seconds", "Time in engines, in seconds.", labels=_LABELS)
        failed = CounterMetricFamily(f"{_PREFIX}_failed_batches", "Number of batches that failed.", labels=_LABELS)
        for served in self._catalogue.models:
            model = served.model
            labels = (model.name,)
            waiting.add_metric(labels, model.waiting)
            engines.add_metric(labels, model.engines)
            ready.add_metric(labels, model.ready_engines)
            batches = model.batches
            # A copy is made in one step, whatever the event loop does meanwhile.
            counts = batches.sizes.copy()
            ascending = accumulate(counts.get(size, 0) for size in model.buckets)
            buckets = [(f"{size}.0", count) for size, count in zip(model.buckets, ascending, strict=True)]
            items = sum(size * count for size, count in counts.items())
            sizes.add_metric(labels, [*buckets, ("+Inf", buckets[-1][1])], items)
            seconds.add_metric(labels, batches.engine_s)
            failed.add_metric(labels, batches.failed)
        yield from (waiting, engines, ready, sizes, seconds, failed)
