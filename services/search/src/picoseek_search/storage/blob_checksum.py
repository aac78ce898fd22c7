"""Checksums of blobs as a database gives them back."""

from __future__ import annotations

import google_crc32c


def blob_checksum(value: object, header: bytes = b"") -> int:
    """Return the CRC-32C of a header and the blob behind it.

    A changed bit can make a column something else than a blob; then it is of another checksum, too.
    """
    return int(google_crc32c.value(header + (value if isinstance(value, bytes) else repr(value).encode())))
