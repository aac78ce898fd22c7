"""What is left of searching while documents are written and removed.

    python services/search/benchmarks/search_under_writes.py --callers 16
    python services/search/benchmarks/search_under_writes.py --vectors base.npy --queries queries.npy --metric l2

The service runs on one core; callers, which search over the client's stream, and the writer have the others. Phases
without and with writes take turns in one run; before each, the service has nothing left to build. What it builds of
what is written, it builds beside the searches. Figures are medians of the phases of a kind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from picoseek import (
    AsyncClient,
    Collection,
    ConnectionConfig,
    Document,
    DocumentMask,
    EmbeddingSpace,
    IndexConfig,
    Metric,
    SearchOptions,
)
from processes import CORES, IS_PINNED, SERVICE_CORE, Service
from search_over_grpc import SPACE, clustered

_BATCH = 500
_POLL_S = 0.1


@dataclass
class Phase:
    """What callers saw for some seconds."""

    qps: float
    p50_ms: float
    p99_ms: float
    short_answers: int
    client_busy: float
    server_busy: float


@dataclass(frozen=True)
class Load:
    """What is written, and for how long."""

    upserts: float
    deletes: float
    batch: int
    seconds: float


async def searching(
    client: AsyncClient, service: Service, queries: np.ndarray, k: int, callers: int, end: asyncio.Future[Any]
) -> Phase:
    """Search until something has ended."""
    took: list[float] = []
    short = 0
    options = SearchOptions(k=k, include=DocumentMask())

    async def caller(number: int) -> None:
        nonlocal short
        while not end.done():
            number = (number + callers) % len(queries)
            begun = time.perf_counter()
            answer = await client.search("bench", queries[number : number + 1], space=SPACE, options=options)
            took.append(1000 * (time.perf_counter() - begun))
            short += len(answer.hits[0]) < k

    spent, served, begun = time.process_time(), service.cpu_s(), time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    seconds = time.perf_counter() - begun
    return Phase(
        len(took) / seconds,
        float(np.median(took)),
        float(np.quantile(took, 0.99)),
        short,
        (time.process_time() - spent) / seconds,
        (service.cpu_s() - served) / seconds,
    )


async def writing(port: int, vectors: Path, load: Load, seed: int) -> dict[str, float]:
    """Write in a process of its own and return what it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).with_name("paced_writer.py")), str(port), str(vectors)),
        *("--seconds", str(load.seconds), "--upserts", str(load.upserts), "--deletes", str(load.deletes)),
        *("--batch", str(load.batch), "--seed", str(seed)),
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


async def built(client: AsyncClient) -> list[str]:
    """Wait until nothing is left to build; returns what the index is made of."""
    while (state := await client.index_state("bench")).pending:
        await asyncio.sleep(_POLL_S)
    return [f"{segment.kind}:{segment.live_rows}" for segment in state.segments]


async def measure(
    arguments: argparse.Namespace, service: Service, vectors: np.ndarray, queries: np.ndarray, file: Path
) -> dict[str, Any]:
    """Return all figures by name."""
    load = Load(arguments.upserts, arguments.deletes, arguments.batch, arguments.seconds)
    async with AsyncClient(ConnectionConfig(search=f"127.0.0.1:{arguments.port}", timeout_s=120.0)) as client:
        await client.create_collection(
            Collection(
                "bench",
                EmbeddingSpace(SPACE, vectors.shape[1]),
                Metric(arguments.metric),
                IndexConfig(arguments.factory),
            )
        )
        for start in range(0, len(vectors), _BATCH):
            documents = [Document(str(row), vectors[row]) for row in range(start, min(len(vectors), start + _BATCH))]
            await client.upsert("bench", documents, space=SPACE)
        phases: dict[str, list[Phase]] = {"idle": [], "loaded": []}
        written: list[dict[str, float]] = []
        segments: list[list[str]] = []
        for turn in range(arguments.turns):
            segments.append(await built(client))
            quiet: asyncio.Future[Any] = asyncio.ensure_future(asyncio.sleep(load.seconds))
            phases["idle"].append(await searching(client, service, queries, arguments.k, arguments.callers, quiet))
            work = asyncio.ensure_future(writing(arguments.port, file, load, seed=10 + 10 * turn))
            phases["loaded"].append(await searching(client, service, queries, arguments.k, arguments.callers, work))
            written.append(work.result())
            state = await client.index_state("bench")
            segments.append([f"{segment.kind}:{segment.live_rows}" for segment in state.segments])
    qps, p50, p99 = (
        {kind: float(np.median([getattr(phase, name) for phase in some])) for kind, some in phases.items()}
        for name in ("qps", "p50_ms", "p99_ms")
    )
    return {
        "data": arguments.vectors.stem if arguments.vectors else "clustered",
        "rows": len(vectors),
        "dimension": vectors.shape[1],
        "factory": arguments.factory,
        "callers": arguments.callers,
        "is_pinned": IS_PINNED,
        **{f"{kind}_qps": value for kind, value in qps.items()},
        **{f"{kind}_p50_ms": value for kind, value in p50.items()},
        **{f"{kind}_p99_ms": value for kind, value in p99.items()},
        "qps_ratio": float(np.median([b.qps / a.qps for a, b in zip(phases["idle"], phases["loaded"], strict=True)])),
        "p99_ratio": float(
            np.median([b.p99_ms / a.p99_ms for a, b in zip(phases["idle"], phases["loaded"], strict=True)])
        ),
        "short_answers": sum(phase.short_answers for some in phases.values() for phase in some),
        **{name: float(np.median([one[name] for one in written])) for name in written[0]},
        "client_busy": [round(phase.client_busy, 2) for some in phases.values() for phase in some],
        "server_busy": [round(phase.server_busy, 2) for some in phases.values() for phase in some],
        "segments": segments,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, help="NPY file; clustered vectors if there is none")
    parser.add_argument("--queries", type=Path, help="NPY file, with --vectors")
    parser.add_argument("--metric", default="cosine", choices=[metric.value for metric in Metric])
    parser.add_argument("--rows", type=int, default=20_000, help="of clustered vectors")
    parser.add_argument("--dimension", type=int, default=512, help="of clustered vectors")
    parser.add_argument("--factory", default="HNSW32")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--upserts", type=float, default=1000.0, help="documents a second")
    parser.add_argument("--deletes", type=float, default=200.0, help="documents a second")
    parser.add_argument("--batch", type=int, default=50, help="documents a write")
    parser.add_argument("--seconds", type=float, default=15.0, help="of a phase")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--port", type=int, default=50996)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    arguments = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if arguments.vectors:
        vectors, queries = (np.load(path).astype(np.float32) for path in (arguments.vectors, arguments.queries))
    else:
        vectors, queries = (
            clustered(count, arguments.dimension, seed) for count, seed in ((arguments.rows, 1), (1000, 2))
        )
    if IS_PINNED:
        os.sched_setaffinity(0, set(CORES) - {SERVICE_CORE})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.npy"
        np.save(file, vectors)
        service = Service(Path(folder) / "data", arguments.port)
        try:
            result = asyncio.run(measure(arguments, service, vectors, queries, file))
        finally:
            service.stop()
    if arguments.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    for name, value in result.items():
        sys.stdout.write(f"{name:20} {value:.4g}\n" if isinstance(value, float) else f"{name:20} {value}\n")


if __name__ == "__main__":
    main()
