"""The processes that are measured, each on one core where the machine has two."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import grpc
from picoseek_protos.v1 import collection_pb2, collection_service_pb2_grpc, search_service_pb2_grpc

WITHIN_S = 600.0
CORES = sorted(os.sched_getaffinity(0))
SERVICE_CORE = CORES[-1]
"""Core of the services, and of Faiss in this process; callers have the others."""
IS_PINNED = len(CORES) > 1 and shutil.which("taskset") is not None


class Server:
    """A process that serves SearchService."""

    def __init__(self, arguments: list[str], port: int, log: Path) -> None:
        prefix = ["taskset", "-c", str(SERVICE_CORE)] if IS_PINNED else []
        begun = time.perf_counter()
        self._log = log.open("ab")
        settings = os.environ | {"PICOSEEK_SEARCH_SEARCH_THREADS": "1"}
        self.process = subprocess.Popen(
            [*prefix, sys.executable, *arguments], stdout=self._log, stderr=self._log, env=settings
        )
        options = [
            ("grpc.max_receive_message_length", 64 << 20),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
        ]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
        grpc.channel_ready_future(self.channel).result(WITHIN_S)
        self.ready_s = time.perf_counter() - begun
        self.search = search_service_pb2_grpc.SearchServiceStub(self.channel)

    def cpu_s(self) -> float:
        """Processor time that the process has used, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the process."""
        self.channel.close()
        self.process.terminate()
        self.process.wait(WITHIN_S)
        self._log.close()


class Echo(Server):
    """The service that does not search."""

    def __init__(self, port: int, hits: int, log: Path) -> None:
        super().__init__([str(Path(__file__).with_name("echo_server.py")), str(port), str(hits)], port, log)


class Service(Server):
    """The search service."""

    def __init__(self, data_dir: Path, port: int) -> None:
        arguments = ["-m", "picoseek_search", "--data-dir", str(data_dir), "--port", str(port)]
        super().__init__(arguments, port, data_dir.parent / "service.log")
        self.collections = collection_service_pb2_grpc.CollectionServiceStub(self.channel)

    def memory_bytes(self) -> int:
        """Memory that is not backed by files."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        lines = [line.split() for line in status.splitlines() if line.startswith(("RssAnon", "RssShmem"))]
        return sum(int(line[1]) for line in lines) * 1024

    def describe(self) -> collection_pb2.Collection:
        """Return the collection's state."""
        request = collection_pb2.GetCollectionRequest(name="bench")
        return self.collections.GetCollection(request, timeout=WITHIN_S).collection

    def wait_until_built(self, quiet_s: float) -> float:
        """Wait until the process has had nothing to do for some seconds; returns the seconds until then."""
        begun = idle_since = time.perf_counter()
        before = self.cpu_s()
        while time.perf_counter() - idle_since < quiet_s:
            time.sleep(0.5)
            now = self.cpu_s()
            if now - before > 0.02:
                idle_since = time.perf_counter()
            before = now
        return idle_since - begun
