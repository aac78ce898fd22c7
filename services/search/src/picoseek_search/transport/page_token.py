"""Where a listing goes on, as an opaque text that is good for this listing only."""

from __future__ import annotations

import base64
import binascii
import hashlib

from picoseek_chassis import errors

_DIGEST_BYTES = 8


def encode_page_token(listing: str, last: str) -> str:
    """Return a token.

    Args:
        listing: everything that must be the same in the call for the next page.
        last: the last entry of this page.
    """
    return base64.urlsafe_b64encode(_digest(listing, last) + last.encode()).decode()


def decode_page_token(listing: str, token: str) -> str:
    """Return the last entry of the page before; empty for an empty token.

    Raises:
        ServiceError: PAGE_TOKEN_INVALID.
    """
    if not token:
        return ""
    try:
        content = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        last = content[_DIGEST_BYTES:].decode()
    except (binascii.Error, ValueError) as error:
        raise _invalid() from error
    if content[:_DIGEST_BYTES] != _digest(listing, last):
        raise _invalid()
    return last


def _digest(listing: str, last: str) -> bytes:
    return hashlib.sha256(f"{listing}\0{last}".encode()).digest()[:_DIGEST_BYTES]


def _invalid() -> errors.ServiceError:
    return errors.invalid_argument(
        "PAGE_TOKEN_INVALID",
        "page_token is not the next_page_token of this listing; begin again with an empty one",
        field="page_token",
    )
