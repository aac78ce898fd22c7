"""The log record on the wire and on disk."""

from __future__ import annotations

import google_crc32c
from google.protobuf.message import DecodeError
from picoseek_protos.log.v1 import record_pb2


class RecordError(Exception):
    """Bytes that are no intact log record."""


def encode(record: record_pb2.LogRecord) -> bytes:
    """Return the record as bytes, with its checksum."""
    sealed = record_pb2.LogRecord()
    sealed.CopyFrom(record)
    sealed.checksum = _checksum(record)
    return sealed.SerializeToString(deterministic=True)


def decode(content: bytes) -> record_pb2.LogRecord:
    """Read what encode() wrote.

    Raises:
        RecordError: it is damaged.
    """
    try:
        record = record_pb2.LogRecord.FromString(content)
    except DecodeError as error:
        raise RecordError(str(error)) from error
    if record.checksum != _checksum(record):
        raise RecordError(f"checksum of record {record.sequence} of shard {record.shard} does not fit")
    return record


def _checksum(record: record_pb2.LogRecord) -> int:
    bare = record
    if record.checksum:
        bare = record_pb2.LogRecord()
        bare.CopyFrom(record)
        bare.checksum = 0
    return int(google_crc32c.value(bare.SerializeToString(deterministic=True)))
