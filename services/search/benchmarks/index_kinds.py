"""What every kind of index costs and finds: the table of docs/search-indexes.md.

    python services/search/benchmarks/index_kinds.py --rows 50000

Prints Markdown, one line for each kind and setting. One core, one query after the other, k 10.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from picoseek_search.segment.bitmap import Bitmap
from picoseek_search.segment.faiss_binding import faiss
from picoseek_search.segment.index_kind import IndexKind, Structure
from picoseek_search.segment.segment import SearchOptions
from sample_segments import KINDS, Sample, microseconds, recall, sample


def looks(kind: IndexKind) -> dict[str, SearchOptions]:
    """Return the settings of searches that are worth comparing for a kind."""
    if kind.is_exact:
        return {"": SearchOptions(10)}
    chosen: dict[str, SearchOptions] = {}
    if kind.structure is Structure.GRAPH:
        chosen = {f"`ef` {ef}": SearchOptions(10, ef=ef) for ef in (32, 64, 128, 256)}
    elif kind.structure is Structure.CELLS:
        default = kind.visited_cells(0, 0)
        probes = sorted({8, default // 4, default // 2, default, default * 2})
        chosen = {f"`nprobe` {probe}": SearchOptions(10, nprobe=probe) for probe in probes}
    if kind.pq_parts:
        chosen |= {f"`rerank` {rerank}": SearchOptions(10, rerank=rerank) for rerank in (1, 4, 16, 64)}
    elif kind.structure is Structure.SCAN:
        chosen |= {f"`rerank` {rerank}": SearchOptions(10, rerank=rerank) for rerank in (1, 2)}
    return chosen | {"`exact`": SearchOptions(10, exact=True)}


def line(made: Sample, rows: int, setting: str, options: SearchOptions) -> str:
    """Measure one setting."""
    everything = Bitmap.full(rows)
    memory = made.segment.memory_bytes / rows
    found, took = recall(made, options, everything), microseconds(made, options, everything)
    return f"| {made.segment.kind} | {made.build_s:.1f} | {memory:.0f} | {setting} | {found:.3f} | {took / 1000:.2f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    print("| kind | build, s | bytes a vector | setting | recall@10 | ms a query |\n|---|---|---|---|---|---|")  # noqa: T201
    for factory in arguments.kinds:
        with tempfile.TemporaryDirectory() as folder:
            made = sample(factory, arguments.rows, arguments.dimension, Path(folder))
            for setting, options in looks(made.segment.index_kind).items():
                print(line(made, arguments.rows, setting, options), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
