"""The commands as programs, against the services in this process: what they write and with which status they end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import picoseek
import pytest
from fake_services import BAD, SPACE, FakeServices
from picoseek.video import VideoWriter


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What it wrote with --json."""
        return json.loads(self.stdout)


async def run(services: FakeServices, *arguments: str | Path) -> Done:
    """Run `picoseek`."""
    address = services.config.search
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "picoseek.cli", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PICOSEEK_DETECT_EMBED_ADDRESS": address, "PICOSEEK_SEARCH_ADDRESS": address},
    )
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    done = Done(process.returncode or 0, stdout.decode(), stderr.decode())
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def picture() -> bytes:
    """A JPEG file."""
    return cv2.imencode(".jpg", np.full((6, 8, 3), 120, np.uint8))[1].tobytes()


async def fill(services: FakeServices) -> None:
    """Make the gallery `things`."""
    async with picoseek.AsyncClient(services.config) as client:
        await client.create_collection(picoseek.Collection("things", picoseek.EmbeddingSpace(SPACE.digest, 4)))
        documents = [
            picoseek.Document(name, np.eye(4, dtype=np.float32)[axis], item=name)
            for axis, name in enumerate(["ant", "bee", "cat", "dog"])
        ]
        await client.upsert("things", documents, space=SPACE.digest)


def write(path: Path, data: bytes) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


async def test_a_name_that_is_no_utf8_is_skipped_and_shown_escaped(
    services: FakeServices, tmp_path: Path, picture: bytes
) -> None:
    root = tmp_path / os.fsdecode(b"pics\xfe")
    write(root / "shoe" / "a.jpg", picture)
    write(root / "shoe" / os.fsdecode(b"b\xff.jpg"), picture)
    write(root / os.fsdecode(b"b\xe4g") / "c.jpg", picture)
    plain = await run(services, "gallery", "import", root, "--gallery", "weird")
    assert plain.status == 0 and "1 added, 0 unchanged, 2 skipped of 3 pictures" in plain.stdout
    assert r"skipped shoe/b\xff.jpg: its name" in plain.stderr and r"skipped b\xe4g/c.jpg: " in plain.stderr
    again = (await run(services, "gallery", "import", root, "--gallery", "weird", "--json")).json
    assert (again["unchanged"], [one["id"] for one in again["failed"]]) == (1, [r"b\xe4g/c.jpg", r"shoe/b\xff.jpg"])
    assert services.search.documents["shoe/a.jpg"].provenance.source.endswith(r"pics\xfe/shoe/a.jpg")


async def test_a_picture_whose_name_is_no_utf8_is_recognised(
    services: FakeServices, tmp_path: Path, picture: bytes
) -> None:
    await fill(services)
    path = write(tmp_path / os.fsdecode(b"lion\xff.jpg"), picture)
    asked = ("recognize", path, "--gallery", "things", "--out", tmp_path / "out")
    plain = await run(services, *asked)
    assert plain.status == 0 and r"lion\xff.jpg" in plain.stdout
    (entry,) = (await run(services, *asked, "--json")).json["pictures"]
    assert entry["picture"].endswith(r"/lion\xff.jpg") and entry["objects"]
    missing = await run(services, "recognize", tmp_path / os.fsdecode(b"no\xff.jpg"), "--gallery", "things", "--json")
    assert (
        missing.status == 1
        and missing.json["pictures"][0]["error"].endswith(
            r"no\xff.jpg cannot be read: "
            "No such file or directory"
        )
        and r"no\xff.jpg" in missing.stderr
    )


async def test_no_file_of_a_folder_is_passed_over_in_silence(
    services: FakeServices, tmp_path: Path, picture: bytes
) -> None:
    for name in ("shoe/a.jpg", "cap/c.jfif"):
        write(tmp_path / name, picture)
    for name in ("shoe/notes.txt", "shoe/.DS_Store", "shoe/list.csv"):
        write(tmp_path / name, b"x")
    asked = ("gallery", "import", tmp_path, "--gallery", "new", "--strict")
    done = await run(services, *asked)
    assert done.status == 0
    assert "2 added, 0 unchanged, 0 skipped of 2 pictures; passed over 3 (1 .csv, 1 .txt, 1 hidden)" in done.stdout
    write(tmp_path / "bag" / "b.tiff", BAD)
    done = await run(services, *asked, "--json")
    assert done.status == 1 and [one["id"] for one in done.json["failed"]] == ["bag/b.tiff"]
    assert done.json["passed_over"] == {".csv": 1, ".txt": 1, "hidden": 1}


async def test_watch_says_why_frames_failed(services: FakeServices, tmp_path: Path) -> None:
    await fill(services)
    path = tmp_path / "in.mp4"
    with VideoWriter(path, 10) as video:
        for value in (200, 0, 200, 0):
            video.write(np.full((64, 64, 3), value, np.uint8))
    done = await run(services, "watch", path, "--gallery", "things")
    assert done.status == 0 and "4 frames, 0 left out, 2 failed" in done.stdout
    assert "the first that failed is frame 1: refused: PICTURE_UNDECODABLE" in done.stderr
