"""What is acknowledged is on disk: the operating system was asked to put it there before the answer went out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from picoseek_protos.v1 import search_pb2

BATCHES = 12
# A sync of the write-ahead log that returned, or an answer that goes out on the connection.
SYNCED = re.compile(r"(?:fdatasync|fsync)\(\d+<[^>]*documents\.sqlite3-wal>\)\s*=\s*0|resumed>\)\s*=\s*0")


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: apt-get install strace")
def test_every_acknowledged_batch_was_synced_before_its_answer(
    search_process: Callable[..., Any], client_of: Callable[..., Any], document_of: Callable[..., Any], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    wrapper = ["strace", "-D", "-f", "-y", "-qq", "-e", "trace=fdatasync,fsync", "-o", str(trace)]
    process = search_process(wrapper=wrapper)
    with process.channel() as channel:
        client = client_of(channel)
        client.create(name="g")
        documents = [document_of(f"d{number}", [1.0] * 8) for number in range(5)]
        before = len(SYNCED.findall(trace.read_text()))
        for batch in range(BATCHES):
            client.upsert("g", documents, f"w{batch}")
            # strace writes a line before the traced thread goes on, so it is there when the answer is.
            after = len(SYNCED.findall(trace.read_text()))
            assert after > before, f"batch {batch} was acknowledged without a sync"
            before = after
        client.search.Delete(search_pb2.DeleteRequest(collection="g", ids=["d1"]))
        assert len(SYNCED.findall(trace.read_text())) > before
    process.stop()
