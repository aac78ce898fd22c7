"""How much one call may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from picoseek_chassis import errors


@dataclass(frozen=True)
class Limits:
    """Bounds on requests and answers."""

    max_queries: int
    """Queries in one search."""
    max_k: int
    """Hits a query."""
    max_hits: int
    """Queries times k in one search."""
    max_stream_searches: int
    """Searches under way of one stream."""
    max_documents: int
    """Documents or ids in one call."""
    max_message_bytes: int
    """Bytes of an answer."""
    max_revision_wait_s: float
    """Longest wait for a revision, in seconds."""

    def check_count(self, field: str, count: int, most: int) -> None:
        """Refuse lists that are empty or too long.

        Raises:
            ServiceError: REQUEST_EMPTY or REQUEST_TOO_LARGE.
        """
        if count == 0:
            raise errors.invalid_argument("REQUEST_EMPTY", f"{field} is empty; send at least one", field=field)
        if count > most:
            raise errors.invalid_argument(
                "REQUEST_TOO_LARGE",
                f"{field} has {count} entries and {most} is the limit; send several calls",
                field=field,
                limit=str(most),
            )

    def check_answer(self, size: int) -> None:
        """Refuse answers that are too long to send.

        Raises:
            ServiceError: REQUEST_TOO_LARGE.
        """
        if size > self.max_message_bytes:
            raise errors.invalid_argument(
                "REQUEST_TOO_LARGE",
                f"the answer would have {size} bytes and {self.max_message_bytes} is the limit; "
                "ask for fewer documents, or leave parts out with `include`",
                limit=str(self.max_message_bytes),
            )
