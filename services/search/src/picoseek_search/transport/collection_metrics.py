"""Collections as Prometheus hears of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from picoseek_chassis.errors import ServiceError
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection

_LABELS = ("collection",)


class CollectionMetrics(Collector):
    """Size, state and measured recall of each collection.

    It reads what is in memory, in the thread that answers Prometheus: snapshots, which need no lock, and figures whose
    locks are held for moments. It asks no database, since a reader of one may wait for a write to reach the disk.
    """

    def __init__(self, catalog: Catalog, queries: Mapping[str, int]) -> None:
        """Show the collections of a node; `queries` has the answered queries by the name of the collection."""
        self._catalog = catalog
        self._queries = queries

    def collect(self) -> Iterator[Metric]:
        """Return the figures of now."""
        usable = _gauge("usable", "Whether the collection can be used: 1, or 0 if it could not be read.")
        collections: dict[str, Collection] = {}
        for name, is_usable in self._catalog.names():
            usable.add_metric((name,), is_usable)
            try:
                collections[name] = self._catalog.get(name)
            except ServiceError:
                # Unreadable, or removed meanwhile.
                continue
        yield usable
        yield from self._sizes(collections)
        yield from self._recall(collections)
        answered = CounterMetricFamily("picoseek_search_queries", "Number of answered queries.", labels=_LABELS)
        for name in collections:
            answered.add_metric((name,), self._queries.get(name, 0))
        yield answered

    def _sizes(self, collections: Mapping[str, Collection]) -> Iterator[Metric]:
        documents = _gauge("documents", "Live documents.")
        epoch = _gauge("revision_epoch", "Epoch of the revision, which grows when the collection is restored.")
        sequence = _gauge("revision_sequence", "Sequence of the revision, which grows with every write.")
        pending = _gauge("index_pending", "Whether an index is being built or due: 1, or 0.")
        memory = _gauge("index_bytes", "Memory of the indexes in bytes, estimated; without mapped files.")
        for name, collection in _by_turns(collections):
            labels = (name,)
            snapshot = collection.shard.snapshot
            documents.add_metric(labels, snapshot.live_rows)
            epoch.add_metric(labels, snapshot.revision.epoch)
            sequence.add_metric(labels, snapshot.revision.sequence)
            pending.add_metric(labels, collection.is_index_pending)
            memory.add_metric(labels, sum(view.part.segment.memory_bytes for view in snapshot.views))
        yield from (documents, epoch, sequence, pending, memory)

    def _recall(self, collections: Mapping[str, Collection]) -> Iterator[Metric]:
        found = "Share of the exact hits that live searches of the last hour found"
        estimate = _recall_gauge("estimate", f"{found}.")
        lower = _recall_gauge("lower", f"{found}: lower end of the 95 % interval.")
        upper = _recall_gauge("upper", f"{found}: upper end of the 95 % interval.")
        checked = _recall_gauge("checked_queries", "Queries that were searched again exactly: those of the estimate.")
        unchecked = CounterMetricFamily(
            "picoseek_search_recall_unchecked_queries",
            "Number of queries for whose check there was no pause between searches.",
            labels=_LABELS,
        )
        for name, collection in _by_turns(collections):
            labels = (name,)
            window = collection.recall.window
            unchecked.add_metric(labels, window.missed)
            said = window.estimate()
            checked.add_metric(labels, 0 if said is None else said.queries)
            if said is not None:
                estimate.add_metric(labels, said.recall)
                lower.add_metric(labels, said.lower)
                upper.add_metric(labels, said.upper)
        yield from (estimate, lower, upper, checked, unchecked)


def _by_turns(collections: Mapping[str, Collection]) -> Iterator[tuple[str, Collection]]:
    for item in collections.items():
        # Threads that wait for the interpreter go first; without this they would wait 5 ms, and searches with them.
        time.sleep(0)
        yield item


def _gauge(name: str, description: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"picoseek_search_collection_{name}", description, labels=_LABELS)


def _recall_gauge(name: str, description: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"picoseek_search_recall_{name}", description, labels=_LABELS)
