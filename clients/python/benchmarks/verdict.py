"""What verdicts promise, measured: the share of strangers that are accepted, at three stated rates.

    python clients/python/benchmarks/verdict.py --data ../shared/data --cache DIR [--json]

It starts both services and needs nothing else; the vectors are kept in DIR. The items of a set are dealt into four
folds. Each fold in turn is kept out of the gallery and its pictures are the strangers, so every picture is a stranger
once a seed. Known queries are pictures of gallery items that are not in the gallery themselves. A stranger whose very
picture stands in the gallery under another item is no stranger; it is left out and counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from embedded_sets import SETS, EmbeddedSet, embed_set
from intervals import clopper_pearson, effective_trials
from numpy.typing import NDArray
from picoseek import AsyncClient, Collection, Document, DocumentMask, IndexConfig, SearchOptions, VerdictKind
from picoseek.connection import ConnectionConfig
from picoseek.served_embedder import ServedEmbedder, find_embedder
from picoseek.serving.local_services import LocalServices, ServeConfig

RATES = (0.001, 0.01, 0.05)
FOLDS = 4
SEEDS = range(1, 6)
COPY_ABOVE = 1 - 2e-6
BATCH = 500
WITHIN_S = 600.0
EMOJI_TEST_CODES = 618


@dataclass(frozen=True, eq=False)
class Task:
    """A set, and which of its pictures are references and queries."""

    name: str
    vectors: NDArray[np.float32]
    items: NDArray[np.int64]
    references: NDArray[np.bool_]
    queries: NDArray[np.bool_]


@dataclass(eq=False)
class Tally:
    """What became of the pictures of a task at one rate."""

    accepted: NDArray[np.int64]
    asked: NDArray[np.int64]
    known_right: int = 0
    known_wrong: int = 0
    known_ambiguous: int = 0
    known: int = 0
    by_seed: list[tuple[int, int]] = field(default_factory=list)


def tasks(name: str, embedded: EmbeddedSet) -> list[Task]:
    """Return what is measured on a set: queries like the references, and queries from elsewhere."""
    _, items = np.unique(embedded.items, return_inverse=True)
    parts = embedded.parts
    chosen = np.ones(len(items), np.bool_)
    if name == "emoji":
        # Codes in order; the last ones are the public test.
        chosen = items >= items.max() + 1 - EMOJI_TEST_CODES
    like, sources, targets = {
        "grocery": (("test",), ("train",), ("test",)),
        "emoji": (("google", "twitter", "fluent"), ("google", "twitter"), ("fluent",)),
        "logos": (("gallery", "query"), ("gallery",), ("query",)),
    }[name]
    half = np.random.default_rng(0).random(len(items)) < 0.5
    alike = chosen & np.isin(parts, like)
    elsewhere = {"grocery": "train to test", "emoji": "google, twitter to fluent", "logos": "gallery to query"}[name]
    return [
        Task(f"{name}: halves", embedded.vectors, items, alike & half, alike & ~half),
        Task(
            f"{name}: {elsewhere}",
            embedded.vectors,
            items,
            chosen & np.isin(parts, sources),
            chosen & np.isin(parts, targets),
        ),
    ]


async def measure(client: AsyncClient, embedder: ServedEmbedder, task: Task) -> dict[str, object]:
    """Return the figures of a task."""
    count = len(task.items)
    tallies = {rate: Tally(np.zeros(count, np.int64), np.zeros(count, np.int64)) for rate in RATES}
    copies = 0
    for seed in SEEDS:
        names = np.unique(task.items[task.queries])
        folds = np.full(task.items.max() + 1, -1)
        folds[np.random.default_rng(seed).permutation(names)] = np.arange(len(names)) % FOLDS
        fold_of = folds[task.items]
        before = {rate: (int(tally.accepted.sum()), int(tally.asked.sum())) for rate, tally in tallies.items()}
        found = await asyncio.gather(*(_fold(client, embedder, task, fold_of, fold, tallies) for fold in range(FOLDS)))
        copies += sum(found)
        for rate, tally in tallies.items():
            accepted, asked = before[rate]
            tally.by_seed.append((int(tally.accepted.sum()) - accepted, int(tally.asked.sum()) - asked))
        print(f"{task.name}: seed {seed}", file=sys.stderr, flush=True)  # noqa: T201
    return {
        "task": task.name,
        "gallery_items": len(np.unique(task.items[task.references])) * (FOLDS - 1) // FOLDS,
        "gallery_pictures": int(task.references.sum()) * (FOLDS - 1) // FOLDS,
        "copies_left_out": copies / len(SEEDS),
        "rates": [_figures(task, rate, tally) for rate, tally in tallies.items()],
    }


def _figures(task: Task, rate: float, tally: Tally) -> dict[str, object]:
    asked = tally.asked > 0
    shares = tally.accepted[asked] / tally.asked[asked]
    _, items = np.unique(task.items[asked], return_inverse=True)
    pictures = len(shares)
    independent = effective_trials(shares, items)
    measured = float(shares.mean())
    return {
        "asked": rate,
        "measured": measured,
        "strangers": pictures,
        "interval": clopper_pearson(round(measured * pictures), pictures),
        "independent_strangers": independent,
        "interval_of_items": clopper_pearson(round(measured * independent), independent),
        "seeds_within": sum(
            low <= rate <= high for low, high in (clopper_pearson(*by_seed) for by_seed in tally.by_seed)
        ),
        "by_seed": [accepted / asked for accepted, asked in tally.by_seed],
        "known": tally.known // len(SEEDS),
        "known_match": tally.known_right / tally.known,
        "known_ambiguous": tally.known_ambiguous / tally.known,
        "known_wrong": tally.known_wrong / tally.known,
    }


async def _fold(
    client: AsyncClient,
    embedder: ServedEmbedder,
    task: Task,
    fold_of: NDArray[np.int64],
    fold: int,
    tallies: dict[float, Tally],
) -> int:
    """Make a gallery without a fold, ask it, and return how many strangers were copies."""
    name = f"verdict-{fold}"
    await client.delete_collection(name, allow_missing=True)
    await client.create_collection(Collection(name, embedder.space, index=IndexConfig("Flat")))
    gallery = np.flatnonzero(task.references & (fold_of != fold))
    for start in range(0, len(gallery), BATCH):
        documents = [
            Document(str(place), task.vectors[place], item=str(task.items[place]))
            for place in gallery[start : start + BATCH]
        ]
        written = await client.upsert(name, documents, space=embedder.space.digest)
    async with asyncio.timeout(WITHIN_S):
        while True:
            calibration = (await client.search_quality(name)).calibration
            if calibration is not None and calibration.revision >= written.revision:
                break
            await asyncio.sleep(0.2)
    copies = 0
    for rate, tally in tallies.items():
        options = SearchOptions(k=1, false_accept_rate=rate, include=DocumentMask())
        queries = np.flatnonzero(task.queries)
        for start in range(0, len(queries), BATCH):
            places = queries[start : start + BATCH]
            result = await client.search(
                name, list(task.vectors[places]), space=embedder.space.digest, options=options, timeout_s=WITHIN_S
            )
            for place, verdict, (hit,) in zip(places.tolist(), result.verdicts, result.hits, strict=True):
                is_accepted = verdict.kind is not VerdictKind.UNKNOWN
                if fold_of[place] != fold:
                    is_right = hit.item == str(task.items[place])
                    is_match = verdict.kind is VerdictKind.MATCH
                    tally.known += 1
                    tally.known_right += is_match and is_right
                    tally.known_wrong += is_match and not is_right
                    tally.known_ambiguous += verdict.kind is VerdictKind.AMBIGUOUS
                elif hit.score > COPY_ABOVE:
                    copies += rate == RATES[0]
                else:
                    tally.asked[place] += 1
                    tally.accepted[place] += is_accepted
    return copies


@asynccontextmanager
async def _services() -> AsyncIterator[ConnectionConfig]:
    # One measurement for all batches of a gallery.
    os.environ["PICOSEEK_SEARCH_CALIBRATION_DELAY_S"] = "4"
    with tempfile.TemporaryDirectory() as folder:
        config = ServeConfig(Path(folder), 17171, 17172)
        ready, stop = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(LocalServices(config, lambda *_: None).run(ready.set, stop))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if not ready.is_set():
                await running
            yield ConnectionConfig(config.detect_embed_address, config.search_address, timeout_s=WITHIN_S)
        finally:
            waiting.cancel()
            stop.set()
            await running


async def _run(data: Path, cache: Path, as_json: bool) -> None:
    reports: list[dict[str, object]] = []
    async with _services() as config, AsyncClient(config) as client:
        embedder = await find_embedder(client)
        for name in SETS:
            embedded = await embed_set(client, name, data, cache, _report)
            reports += [await measure(client, embedder, task) for task in tasks(name, embedded)]
    if as_json:
        print(json.dumps(reports, indent=1))  # noqa: T201
        return
    print("| task | items | asked | measured | 95 % interval | by item | match | ambiguous | wrong |")  # noqa: T201
    print("|---|---|---|---|---|---|---|---|---|")  # noqa: T201
    for report in reports:
        for figures in report["rates"]:  # type: ignore[attr-defined]
            cells = [
                report["task"],
                report["gallery_items"],
                f"{figures['asked']:.1%}",
                f"{figures['measured']:.2%}",
                _span(figures["interval"]),
                _span(figures["interval_of_items"]),
                *(f"{figures[name]:.1%}" for name in ("known_match", "known_ambiguous", "known_wrong")),
            ]
            print(f"| {' | '.join(map(str, cells))} |")  # noqa: T201


def _report(name: str, done: int, total: int) -> None:
    if done % 500 == 0 or done == total:
        print(f"{name}: {done} of {total} pictures", file=sys.stderr, flush=True)  # noqa: T201


def _span(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.2%} to {interval[1]:.2%}"


def main() -> None:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public sets")
    parser.add_argument("--cache", type=Path, required=True, help="folder of their vectors, made if need be")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.data, arguments.cache, arguments.json))


if __name__ == "__main__":
    main()
