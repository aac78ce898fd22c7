"""Messages between the service and an engine process: a JSON header and raw bytes, each with its length."""

from __future__ import annotations

import asyncio
import json
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

_LENGTHS = struct.Struct("<II")


@dataclass(frozen=True)
class Message:
    """One message, either way."""

    header: dict[str, Any]
    """What it is about."""
    payload: bytes = b""
    """Contents of arrays, one after the other."""

    def encode(self) -> bytes:
        """Return the bytes to send."""
        header = json.dumps(self.header).encode()
        return _LENGTHS.pack(len(header), len(self.payload)) + header + self.payload


async def read_message(stream: asyncio.StreamReader) -> Message:
    """Read one message.

    Raises:
        asyncio.IncompleteReadError: the other side is gone.
    """
    header, payload = _LENGTHS.unpack(await stream.readexactly(_LENGTHS.size))
    return Message(json.loads(await stream.readexactly(header)), await stream.readexactly(payload))


def read_message_blocking(stream: BinaryIO) -> Message | None:
    """Read one message; None when the other side is gone."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header, payload = _LENGTHS.unpack(lengths)
    return Message(json.loads(stream.read(header)), stream.read(payload))
