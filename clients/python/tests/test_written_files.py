"""Pictures and videos that are written: whole or not at all, and with the cause."""

from __future__ import annotations

import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fake_services import SPACE, FakeServices
from picoseek import AsyncClient, Collection, Document, EmbeddingSpace, InvalidArgumentError
from picoseek.async_collection_transfer import AsyncCollectionTransfer
from picoseek.picture_file import write_picture
from picoseek.video import VideoReader, VideoWriter

FRAMES = np.random.default_rng(1).integers(0, 255, (12, 240, 320, 3), dtype=np.uint8)


@contextmanager
def room_for(size: int) -> Generator[None]:
    """Let no file grow beyond a size, in bytes, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _film(path: Path) -> None:
    with VideoWriter(path, 10) as writer:
        for frame in FRAMES:
            writer.write(frame)


def test_a_picture_that_has_no_room_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "lion.jpg"
    write_picture(path, FRAMES[0][:8, :8])
    before = path.read_bytes()
    with room_for(len(before)), pytest.raises(OSError, match=r"large.*lion\.jpg") as caught:
        write_picture(path, FRAMES[0])
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("size", [0, 100, 5_000])
@pytest.mark.parametrize("name", ["things.parquet", "things"])
async def test_an_export_that_has_no_room_leaves_nothing(
    services: FakeServices, tmp_path: Path, name: str, size: int
) -> None:
    async with AsyncClient(services.config) as client:
        await client.create_collection(Collection("things", EmbeddingSpace(SPACE.digest, 4)))
        payloads = np.random.default_rng(1).bytes(60_000)
        documents = [
            Document(f"{number}", np.ones(4, np.float32), item="x" * 2000, payload=payloads) for number in range(8)
        ]
        await client.upsert("things", documents, space=SPACE.digest)
        with room_for(size), pytest.raises(OSError, match=rf"too large.*/{name}'"):
            await AsyncCollectionTransfer("things", client).export(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [0, 60_000])
def test_a_video_that_has_no_room_is_not_there(tmp_path: Path, size: int) -> None:
    path = tmp_path / "w.mp4"
    with room_for(size), pytest.raises(OSError, match=r"too large.*w\.mp4"):
        _film(path)
    assert not list(tmp_path.iterdir())


def test_a_video_says_that_its_folder_is_missing_or_its_ending_is_none(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match=r"nowhere/w\.mp4"),
        VideoWriter(tmp_path / "nowhere/w.mp4", 10) as writer,
    ):
        writer.write(FRAMES[0])
    with pytest.raises(InvalidArgumentError, match=r"ends in \.mp4"), VideoWriter(tmp_path / "w.foo", 10) as writer:
        writer.write(FRAMES[0])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mkv"])
def test_a_video_has_all_its_frames(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"w{ending}"
    _film(path)
    assert list(tmp_path.iterdir()) == [path]
    with VideoReader(str(path)) as reader:
        assert sum(1 for _ in reader.frames()) == len(FRAMES)
