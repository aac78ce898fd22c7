"""From which share of selected rows on an index is worth it, for every kind: the figures behind segment/index_kind.py.

    python services/search/benchmarks/exact_crossover.py --rows 50000

Prints a table a kind: time of an exact search and of one through the index, on one core, and what the latter finds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.index_kind import ExactBelow, IndexKind
from picoseek_search.segment.segment import SearchOptions
from sample_segments import KINDS, microseconds, recall, sample

SHARES = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--kinds", nargs="*", default=[kind for kind in KINDS if kind not in ("Flat", "BFlat")])
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    # What is measured here must not decide what is measured.
    IndexKind.exact_below = property(lambda _: ExactBelow(0, 0.0))  # type: ignore[assignment]
    for factory in arguments.kinds:
        with tempfile.TemporaryDirectory() as folder:
            made = sample(factory, arguments.rows, arguments.dimension, Path(folder))
            print(f"{made.segment.kind}: share selected, us exact, us by index, recall@10")  # noqa: T201
            for share in SHARES:
                selected = Bitmap.from_mask(np.random.default_rng(3).random(arguments.rows) < share)
                exact = microseconds(made, SearchOptions(10, exact=True), selected)
                by_index = microseconds(made, SearchOptions(10), selected)
                print(f"{share:6.3f} {exact:8.0f} {by_index:8.0f} {recall(made, SearchOptions(10), selected):6.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
