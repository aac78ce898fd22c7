"""The write-ahead log of SQLite: sound ones are taken as such, and so are those that a stop has cut short."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from picoseek_search.storage import wal

HEADER, FRAME = 32, 24 + 4096


@pytest.fixture
def log(tmp_path: Path) -> bytes:
    """A log of several transactions, behind which older frames are left."""
    connection = sqlite3.connect(tmp_path / "d", isolation_level=None)
    connection.execute("PRAGMA page_size = 4096")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
    random = np.random.default_rng(1)
    for number in range(12):
        connection.execute("INSERT INTO t VALUES (?, ?)", (number, random.bytes(6000)))
    connection.execute("PRAGMA wal_checkpoint(FULL)")
    for number in range(12, 16):
        connection.execute("INSERT INTO t VALUES (?, ?)", (number, random.bytes(6000)))
    content = (tmp_path / "d-wal").read_bytes()
    connection.close()
    return content


def damage(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "log"
    path.write_bytes(content)
    return wal.damage(path)


def fit_frames(content: bytes) -> int:
    salts = content[16:24]
    frames = [content[start : start + FRAME] for start in range(HEADER, len(content), FRAME)]
    return next((number for number, frame in enumerate(frames) if frame[8:16] != salts), len(frames))


def test_a_sound_log_and_one_that_was_cut_short(log: bytes, tmp_path: Path) -> None:
    assert damage(tmp_path, log) == ""
    frames = fit_frames(log)
    assert 4 < frames < (len(log) - HEADER) // FRAME
    assert wal.damage(tmp_path / "none") == ""
    random = np.random.default_rng(2)
    for length in random.integers(0, HEADER + frames * FRAME, 20).tolist():
        assert damage(tmp_path, log[:length]) == ""
    # Of the last frame another part is on disk than its beginning.
    start = HEADER + (frames - 1) * FRAME
    for kept in (512, 2048, 4096):
        assert damage(tmp_path, log[: start + kept] + b"\0" * (FRAME - kept)) == ""
        assert damage(tmp_path, log[: start + 24] + random.bytes(kept) + log[start + 24 + kept : start + FRAME]) == ""


def test_every_flipped_bit_is_noticed(log: bytes, tmp_path: Path) -> None:
    end = HEADER + fit_frames(log) * FRAME
    random = np.random.default_rng(3)
    places = {*range(HEADER + 24), *range(end - FRAME, end - FRAME + 24), *random.integers(0, end, 150).tolist()}
    for place in sorted(places):
        changed = bytearray(log[:end])
        changed[place] ^= 1 << int(random.integers(8))
        assert damage(tmp_path, bytes(changed)), place


def test_a_transaction_behind_a_damaged_one_shows_it(log: bytes, tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    changed = bytearray(log)
    changed[HEADER + 100 : HEADER + 200] = random.bytes(100)
    assert damage(tmp_path, bytes(changed)) == "frame 0"


def test_sqlite_reads_what_is_called_sound(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "d", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a INTEGER)")
    connection.executemany("INSERT INTO t VALUES (?)", ((number,) for number in range(50)))
    for name in ("d", "d-wal"):
        shutil.copy(tmp_path / name, tmp_path / f"copy{name[1:]}")
    connection.close()
    assert wal.damage(tmp_path / "copy-wal") == ""
    with sqlite3.connect(tmp_path / "copy") as copy:
        assert copy.execute("SELECT count(*) FROM t").fetchone() == (50,)
