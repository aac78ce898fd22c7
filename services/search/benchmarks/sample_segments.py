"""Segments of every kind over the same vectors, for the benchmarks of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from picoseek_search.segment import full_vectors, index_file
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.factory import parse_factory
from picoseek_search.segment.metric import Metric
from picoseek_search.segment.sealed import SealedSegment
from picoseek_search.segment.segment import SearchOptions

KINDS = ("Flat", "HNSW32", "SQ8", "HNSW32,SQ8", "IVF,Flat", "IVF,SQ8", "IVF,PQ64", "IVF,PQ128x4", "BFlat", "BHNSW32")
"""Factory strings; PQ64 and PQ128x4 both make 64 bytes of 512 components."""
_QUERIES = 200


@dataclass(frozen=True, eq=False)
class Sample:
    """A segment and what to look for in it."""

    segment: SealedSegment
    queries: np.ndarray
    """Prepared, shape (queries, columns)."""
    build_s: float
    """Seconds that it took to build."""


def sample(factory: str, rows: int, dimension: int, folder: Path) -> Sample:
    """Build a segment over seeded vectors; for packed bits, over their signs."""
    kind = parse_factory(factory, 80).for_rows(rows, 1)
    metric = Metric.HAMMING if kind.is_binary else Metric.COSINE
    vectors, queries = (_vectors(count, dimension, seed, metric) for count, seed in ((rows, 1), (_QUERIES, 2)))
    begun = perf_counter()
    source = vectors
    if kind.is_compressed:
        source = full_vectors.write(index_file.vectors_path(folder / "sample"), [vectors], dimension, metric)
    segment = SealedSegment.build(source, kind, metric)
    return Sample(segment, queries, perf_counter() - begun)


def microseconds(sample: Sample, options: SearchOptions, selected: Bitmap) -> float:
    """Return the median time of a search for one query, one after the other on one core."""
    took = []
    for place in range(len(sample.queries)):
        query = sample.queries[place : place + 1]
        begun = perf_counter()
        sample.segment.search(query, options, selected)
        took.append(perf_counter() - begun)
    return float(np.median(took)) * 1e6


def recall(sample: Sample, options: SearchOptions, selected: Bitmap) -> float:
    """Return the share of true hits that are found; a hit as close as the last true one counts as true."""
    found = sample.segment.search(sample.queries, options, selected).scores
    true = sample.segment.search(sample.queries, SearchOptions(options.k, exact=True), selected).scores
    larger = sample.segment.metric.larger_is_closer
    worst = true[:, -1:]
    slack = 1e-5 * np.abs(worst)
    return float(np.mean(found >= worst - slack if larger else found <= worst + slack))


def _vectors(count: int, dimension: int, seed: int, metric: Metric) -> np.ndarray:
    # Like vectors of pictures: 2,000 groups that overlap, in far fewer directions than there are components.
    fixed, random = np.random.default_rng(0), np.random.default_rng(seed)
    centres, spread = fixed.standard_normal((2000, 32)), fixed.standard_normal((32, dimension))
    hidden = centres[random.integers(0, len(centres), count)] + 0.7 * random.standard_normal((count, 32))
    vectors = hidden @ spread + random.standard_normal((count, dimension))
    return np.packbits(vectors > 0, axis=1) if metric.is_binary else metric.prepare(vectors.astype(np.float32))
