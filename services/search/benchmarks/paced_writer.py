"""Writes to a collection at a steady rate, beside whoever searches it.

    python paced_writer.py PORT VECTORS.npy --seconds 20 --upserts 1000 --deletes 200

Half of the documents that it writes are new, half take the place of others; it removes such as were there from the
start. A write that is late is sent at once, so that only a service that cannot keep up gets fewer. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
import uuid

import numpy as np
from picoseek import AsyncClient, ConnectionConfig, Document
from search_over_grpc import SPACE

LANES = 4
"""Writes of documents under way at a time."""


class Writer:
    """Sends writes and counts them."""

    def __init__(self, client: AsyncClient, vectors: np.ndarray, batch: int, seed: int) -> None:
        self._client = client
        self._vectors = vectors
        self._batch = batch
        self._random = np.random.default_rng(seed)
        self._removable = self._random.permutation(len(vectors)).tolist()
        self.counts = {"upserts": 0, "deletes": 0}
        self.took_ms: list[float] = []

    async def at_rate(self, kind: str, rate: float, seconds: float) -> None:
        """Write so many documents a second."""
        begun = time.perf_counter()
        sent = 0
        while (now := time.perf_counter() - begun) < seconds:
            due = sent / rate
            if now < due:
                await asyncio.sleep(due - now)
            since = time.perf_counter()
            await (self._upsert() if kind == "upserts" else self._delete())
            self.took_ms.append(1000 * (time.perf_counter() - since))
            sent += self._batch
            self.counts[kind] += self._batch

    async def _upsert(self) -> None:
        half = self._batch // 2
        names = [uuid.UUID(bytes=self._random.bytes(16)).hex for _ in range(self._batch - half)]
        names += [str(row) for row in self._random.choice(len(self._vectors), half, replace=False)]
        rows = self._random.integers(0, len(self._vectors), self._batch)
        noise = 0.02 * self._random.standard_normal((self._batch, self._vectors.shape[1])).astype(np.float32)
        vectors = self._vectors[rows] * (1 + noise)
        documents = [Document(name, vector) for name, vector in zip(names, vectors, strict=True)]
        await self._client.upsert("bench", documents, space=SPACE)

    async def _delete(self) -> None:
        ids = [str(self._removable.pop()) for _ in range(self._batch)]
        await self._client.delete("bench", ids=ids)


async def write(arguments: argparse.Namespace) -> dict[str, float]:
    """Write and return the figures."""
    vectors = np.load(arguments.vectors, mmap_mode="r")
    async with AsyncClient(ConnectionConfig(search=f"127.0.0.1:{arguments.port}")) as client:
        await client.get_collection("bench")
        upserts = Writer(client, vectors, arguments.batch, arguments.seed)
        deletes = Writer(client, vectors, arguments.batch, arguments.seed + 1)
        begun = time.perf_counter()
        lanes = [upserts.at_rate("upserts", arguments.upserts / LANES, arguments.seconds) for _ in range(LANES)]
        await asyncio.gather(*lanes, deletes.at_rate("deletes", arguments.deletes, arguments.seconds))
        took = time.perf_counter() - begun
    return {
        "upserts_per_s": upserts.counts["upserts"] / took,
        "deletes_per_s": deletes.counts["deletes"] / took,
        "write_ms_p50": float(np.median(upserts.took_ms)),
        "write_ms_p99": float(np.quantile(upserts.took_ms, 0.99)),
    }


def main() -> None:
    """Write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("vectors")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--upserts", type=float, default=1000.0, help="documents a second")
    parser.add_argument("--deletes", type=float, default=200.0, help="documents a second")
    parser.add_argument("--batch", type=int, default=50, help="documents a write")
    parser.add_argument("--seed", type=int, default=1)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.stdout.write(json.dumps(asyncio.run(write(parser.parse_args()))) + "\n")


if __name__ == "__main__":
    main()
