"""Texts that hold what is no Unicode, as names of files may."""

from __future__ import annotations

import re

_SURROGATES = re.compile("[\ud800-\udfff]+")


def readable(text: str, *, backslash: str = "\\") -> str:
    """Return a text that can be written as UTF-8: bytes that Python could not decode stand as two hex digits."""
    return _SURROGATES.sub(lambda found: "".join(backslash + _escape(sign) for sign in found[0]), text)


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8."""
    return _SURROGATES.search(text) is None


def _escape(surrogate: str) -> str:
    code = ord(surrogate)
    # PEP 383 keeps a byte that cannot be decoded as 0xDC00 + byte.
    return f"x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"u{code:04x}"
