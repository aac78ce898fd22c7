"""Log records and the log that is part of the database."""

from __future__ import annotations

import sqlite3

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from picoseek_protos.log.v1 import record_pb2
from picoseek_protos.v1 import document_pb2
from picoseek_search.storage import log
from picoseek_search.storage.log import EmbeddedLog, Revision
from picoseek_search.storage.record import RecordError, decode, encode


def record_of(request_id: str = "r") -> record_pb2.LogRecord:
    document = document_pb2.Document(id="a", vector=b"\0\0\x80?", labels=["x"])
    return record_pb2.LogRecord(
        epoch=1,
        sequence=5,
        previous_sequence=4,
        request_id=request_id,
        accepted_at=Timestamp(seconds=7),
        upsert=record_pb2.UpsertChange(documents=[document]),
    )


def test_round_trip_with_checksum() -> None:
    decoded = decode(encode(record_of()))
    assert decoded.checksum != 0
    decoded.checksum = 0
    assert decoded == record_of()
    assert encode(record_of()) == encode(decode(encode(record_of()))), "the checksum counts itself"


def test_every_flipped_bit_is_noticed() -> None:
    content = encode(record_of())
    for place in range(len(content) * 8):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << (place % 8)
        with pytest.raises(RecordError):
            decode(bytes(damaged))


def test_embedded_log_orders_and_keeps_the_newest() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(log.SCHEMA)
    embedded = EmbeddedLog(connection, keep=3)
    revision = Revision(1, 0)
    for number in range(5):
        revision = embedded.append(record_of(f"r{number}"), revision)
    assert revision == Revision(1, 5)
    kept = list(embedded.read(0, 0))
    assert [record.request_id for record in kept] == ["r2", "r3", "r4"]
    assert [(record.sequence, record.previous_sequence) for record in kept] == [(3, 2), (4, 3), (5, 4)]
    assert [record.sequence for record in embedded.read(0, 4)] == [5]
    assert list(embedded.read(1, 0)) == []
