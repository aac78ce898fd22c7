"""On a disk that is full, writes are refused with a word, everything else goes on, and nothing is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from picoseek_protos.v1 import document_pb2, search_pb2

WITHIN_S = 60.0
DISK_BYTES = 6 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a tmpfs")
    yield folder
    # Lazily: the service that is on it is killed after this.
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(
    small_disk: Path,
    search_process: Callable[..., Any],
    client_of: Callable[..., Any],
    document_of: Callable[..., document_pb2.Document],
    reason_of: Callable[[grpc.RpcError], tuple[grpc.StatusCode, str, float]],
) -> None:
    process = search_process(data_dir=small_disk / "data")
    acknowledged: list[str] = []
    with process.channel() as channel:
        client = client_of(channel)
        client.create(name="g")

        def write(number: int) -> None:
            document = document_of(f"d{number}", [1.0, *[0.0] * 6, number], payload=bytes(50_000))
            client.upsert("g", [document], f"w{number}")
            acknowledged.append(document.id)

        def fill() -> None:
            for number in range(1000):
                write(number)

        with pytest.raises(grpc.RpcError) as caught:
            fill()
        code, reason, delay = reason_of(caught.value)
        assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DISK_FULL")
        assert delay > 0
        refused = len(acknowledged)
        assert refused > 5
        with pytest.raises(grpc.RpcError):
            write(refused)
        found = client.find("g", [[1.0, *[0.0] * 7]], k=1000)
        assert sorted(found.ids) == sorted(acknowledged)
        with pytest.raises(grpc.RpcError) as caught:
            client.create(name="another")
        assert reason_of(caught.value)[1] == "DISK_FULL"

        subprocess.run(["mount", "-o", f"remount,size={4 * DISK_BYTES}", str(small_disk)], check=True)
        write(refused)
        client.create(name="another")
    process.kill()
    process.start()
    with process.channel() as channel:
        count = client_of(channel).search.Count(search_pb2.CountRequest(collection="g"), timeout=WITHIN_S)
        assert count.documents == len(acknowledged)
