"""Searches and their hits."""

from __future__ import annotations

from dataclasses import dataclass, field

from picoseek.collection import Revision
from picoseek.document import Document, DocumentMask
from picoseek.verdict import Explanation, Verdict


@dataclass(frozen=True)
class SearchOptions:
    """How a search is made."""

    k: int = 5
    """Hits a query; exactly min(k, documents that meet filter and threshold) come back."""
    filter: str = ""
    """Only documents that meet it: a subset of AIP-160 over id, item, labels and attributes. Empty: all."""
    score_threshold: float | None = None
    """Only hits at least as close, in the metric's own direction."""
    max_per_item: int = 0
    """Hits of one item at most; 0: no limit. 1 gives the nearest reference of each of the k nearest items."""
    exact: bool = False
    """Compare with every vector: exact, slower."""
    ef: int = 0
    """HNSW: length of the candidate list; 0: the collection's default."""
    nprobe: int = 0
    """IVF: cells that are visited; 0: the collection's default."""
    rerank: int = 0
    """SQ8 and PQ: candidates a hit whose full vectors are compared; 0: the collection's default."""
    include: DocumentMask = field(default_factory=lambda: DocumentMask(labels=True))
    """Parts of the documents to return with the hits."""
    min_revision: Revision | None = None
    """The answer must hold this revision."""
    false_accept_rate: float | None = None
    """Ask for a verdict on each first hit: of queries whose item is not in the collection, so many are accepted."""
    explain: bool = False
    """Ask for the reasons of each query's first hit."""


@dataclass(frozen=True, eq=False)
class Hit:
    """A document that is close to a query."""

    id: str
    """Document.id."""
    item: str
    """Document.item."""
    score: float
    """In the metric's own direction."""
    document: Document
    """The parts that were asked for."""


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The hits of one or more queries."""

    hits: tuple[tuple[Hit, ...], ...]
    """For each query its hits, nearest first."""
    larger_is_closer: bool
    """Direction in which scores run: true for inner product and cosine."""
    revision: Revision
    """Revision that was searched."""
    index_generation: int
    """Grows whenever an index is built, merged or replaced."""
    shards_asked: int
    """Parts of the collection that were asked."""
    shards_failed: tuple[int, ...]
    """Parts whose hits are missing."""
    total_us: int
    """From arrival to answer, microseconds."""
    collection: str = ""
    """Name of the collection that was searched, also when an alias was asked."""
    verdicts: tuple[Verdict, ...] = ()
    """One a query if asked for, else empty."""
    explanations: tuple[Explanation, ...] = ()
    """One a query if asked for, else empty."""
