"""`picoseek bench`."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import signal
import uuid
from pathlib import Path

import click
from rich.table import Table

from picoseek.async_client import AsyncClient
from picoseek.benchmark.load import Amount
from picoseek.benchmark.search_benchmark import Plan, Report, Run, SearchBenchmark, Setting
from picoseek.benchmark.vector_set import VectorSet, read_vector_set
from picoseek.cli.connection_options import connection_options
from picoseek.cli.json_option import json_option
from picoseek.cli.output import answers, notes, print_json, progress_bar
from picoseek.cli.stages import Stages
from picoseek.connection import ConnectionConfig
from picoseek.embedding import Metric
from picoseek.recognition_json import JsonObject

_LEAST_QUERIES = 1000
_BUSY = 0.9
_LIST = "N,N,…"


def _numbers(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, ...]:
    if value is None:
        return ()
    parts = value.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{value!r} is no list of whole numbers above 0, such as 32,64,128")
    return tuple(int(part) for part in parts)


@click.group()
def bench() -> None:
    """Measure how fast the running services are."""


@bench.command()
@click.argument("vectors", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--queries", "queries_path", type=click.Path(dir_okay=False, path_type=Path), help="NPY file of queries.")
@click.option(
    "--metric",
    type=click.Choice([metric.value for metric in Metric]),
    help="How vectors are compared (default: as the HDF5 file says; cosine of NPY).",
)
@click.option("--factory", default="", help="How vectors are indexed, such as HNSW32 or IVF,PQ64.")
@click.option("--ef-construction", type=click.IntRange(min=0), default=0, help="HNSW: candidates while building.")
@click.option("--k", type=click.IntRange(min=1), default=10, show_default=True, help="Hits a query.")
@click.option("--ef", callback=_numbers, metavar=_LIST, help="HNSW: candidates, each measured.")
@click.option("--nprobe", callback=_numbers, metavar=_LIST, help="IVF: cells, each measured.")
@click.option("--rerank", callback=_numbers, metavar=_LIST, help="SQ8, PQ: candidates a hit, each measured.")
@click.option("--exact", is_flag=True, help="Measure comparing with every vector, too.")
@click.option(
    "--callers",
    callback=_numbers,
    metavar=_LIST,
    default="1,16",
    show_default=True,
    help="Calls at a time, each measured.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=1, show_default=True, help="Queries a call.")
@click.option(
    "--path",
    "way",
    type=click.Choice(["stream", "unary"]),
    default="stream",
    show_default=True,
    help="Whether calls of one query share a stream.",
)
@click.option("--count", type=click.IntRange(min=1), help="Queries a run (default: all of them, at least 1000).")
@click.option("--duration", type=click.FloatRange(min=0.1), help="Seconds a run, instead of --count.")
@click.option("--filter", "condition", default="", help="Condition of every search, such as 'attributes.draw < 0.1'.")
@click.option("--write-batch", type=click.IntRange(min=1), default=500, show_default=True, help="Documents a write.")
@click.option("--name", help="Name of the collection that is made for it (default: a new one).")
@click.option("--keep", is_flag=True, help="Leave the collection there.")
@click.option(
    "--build-timeout", type=click.FloatRange(min=0), default=3600.0, show_default=True, help="Longest build, seconds."
)
@json_option
@connection_options
def search(
    config: ConnectionConfig,
    vectors: Path,
    queries_path: Path | None,
    metric: str | None,
    factory: str,
    ef_construction: int,
    k: int,
    ef: tuple[int, ...],
    nprobe: tuple[int, ...],
    rerank: tuple[int, ...],
    exact: bool,
    callers: tuple[int, ...],
    batch_size: int,
    way: str,
    count: int | None,
    duration: float | None,
    condition: str,
    write_batch: int,
    name: str | None,
    keep: bool,
    build_timeout: float,
    as_json: bool,
) -> None:
    """Measure searches of VECTORS in a collection of its own, which is removed at the end.

    VECTORS is an NPY file of [rows, dimension], with --queries, or an HDF5 file in the form of ann-benchmarks. A filter
    may ask for `attributes.row`, the row of a vector, and `attributes.draw`, a number drawn evenly from 0 up to 1.
    """
    if count and duration:
        raise click.UsageError("give either --count or --duration")
    if way == "stream" and batch_size > 1:
        notes().print("calls of several queries do not go over the stream", style="yellow")
        way = "unary"
    read = read_vector_set(vectors, queries_path, Metric(metric) if metric else None)
    settings = [Setting(*one) for one in itertools.product(ef or (0,), nprobe or (0,), rerank or (0,))]
    plan = Plan(
        collection=name or f"bench-{uuid.uuid4().hex[:12]}",
        factory=factory,
        ef_construction=ef_construction,
        k=k,
        settings=[*settings, Setting(exact=True)] if exact else settings,
        callers=callers,
        amount=Amount(count or max(_LEAST_QUERIES, len(read.queries)), duration),
        batch_size=batch_size,
        write_batch=write_batch,
        filter=condition,
        keep=keep,
        build_timeout_s=build_timeout,
    )
    config = dataclasses.replace(config, stream_searches=way == "stream")

    async def run() -> Report:
        task = asyncio.current_task()
        if task is not None:
            # As Ctrl-C does: the collection is removed before the end.
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with progress_bar() as bar:
            async with AsyncClient(config) as client:
                return await SearchBenchmark(client, read, plan, Stages(bar).report).run()

    try:
        report = asyncio.run(run())
    except (asyncio.CancelledError, KeyboardInterrupt) as error:
        _say_what_is_kept(plan)
        raise click.Abort from error
    if as_json:
        print_json(_report_json(read, plan, way, report))
    else:
        _show(read, report)
    _warn(report, plan)


def _report_json(read: VectorSet, plan: Plan, way: str, report: Report) -> JsonObject:
    written = report.written
    return {
        "data": {
            "name": read.name,
            "rows": len(read.base),
            "queries": len(read.queries),
            "dimension": read.dimension,
            "type": read.type.value,
            "metric": read.metric.value,
            "truth": report.truth,
        },
        "collection": {
            "name": plan.collection,
            "kept": plan.keep,
            "factory": plan.factory,
            "ef_construction": plan.ef_construction,
            "segments": list(written.segments),
        },
        "k": plan.k,
        "batch_size": plan.batch_size,
        "path": way,
        "filter": plan.filter,
        "live": report.live,
        "upserts_per_second": written.rows_per_second,
        "write_seconds": written.write_seconds,
        "build_seconds": written.build_seconds,
        "memory": {
            "vector_bytes": written.vector_bytes,
            "index_bytes": written.index_bytes,
            "process_growth_bytes": written.process_growth_bytes or None,
        },
        "client": {"empty_call": dataclasses.asdict(report.empty_call)},
        "runs": [_run_json(run) for run in report.runs],
    }


def _run_json(run: Run) -> JsonObject:
    figures: JsonObject = dataclasses.asdict(run)
    setting: JsonObject = figures.pop("setting")
    return setting | figures


def _show(read: VectorSet, report: Report) -> None:
    console = answers()
    written, call = report.written, report.empty_call
    console.print(
        f"{read.name}: {len(read.base)} x {read.dimension}, {read.metric.value}, {len(read.queries)} queries; "
        f"true neighbours: {report.truth}"
    )
    console.print(
        f"written {written.rows_per_second:.0f}/s, built {written.build_seconds:.1f} s later: "
        + " ".join(written.segments)
    )
    of_vectors = written.index_bytes / written.vector_bytes
    process = written.process_growth_bytes / written.vector_bytes
    console.print(
        f"memory of the index {of_vectors:.2f} of the vectors' bytes"
        + (f", the process has grown by {process:.2f}" if written.process_growth_bytes else "")
    )
    console.print(
        f"an empty call takes {call.p50_ms:.2f} ms (p99 {call.p99_ms:.2f}), {call.client_cpu_us:.0f} us of them "
        "the client's processor"
    )
    table = Table(
        *("setting", "callers", "qps", "p50 ms", "p95 ms", "p99 ms", "recall", "short", "client us/query", "busy"),
        box=None,
    )
    for run in report.runs:
        table.add_row(
            _setting_text(run.setting),
            str(run.callers),
            f"{run.qps:.0f}",
            *(f"{value:.2f}" for value in (run.p50_ms, run.p95_ms, run.p99_ms)),
            f"{run.recall:.4f}",
            str(run.short_answers),
            f"{run.client_cpu_us_per_query:.0f}",
            f"{run.client_busy:.2f}",
        )
    console.print(table)


def _setting_text(setting: Setting) -> str:
    named = [f"{name} {value}" for name, value in dataclasses.asdict(setting).items() if value and name != "exact"]
    return "exact" if setting.exact else " ".join(named) or "default"


def _warn(report: Report, plan: Plan) -> None:
    short = sum(run.short_answers for run in report.runs)
    if short:
        due = min(plan.k, report.live)
        notes().print(f"{short} answers have fewer than {due} hits, which must not be: please report it", style="red")
    if any(run.client_busy >= _BUSY for run in report.runs):
        notes().print("where busy is near 1, the figures say what this client can do, not the service", style="yellow")
    _say_what_is_kept(plan)


def _say_what_is_kept(plan: Plan) -> None:
    if plan.keep:
        notes().print(f"kept: `picoseek collection delete {plan.collection}` removes it")
