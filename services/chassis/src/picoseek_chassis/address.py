"""A host and a port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Address:
    """Where something listens."""

    host: str
    """Name or IP address."""
    port: int
    """0 to 65535; 0: any free one."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read HOST:PORT; an IPv6 address stands in brackets.

        Raises:
            ValueError: it is none.
        """
        host, _, port = text.rpartition(":")
        is_bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if is_bracketed else host
        if not host or (":" in host) != is_bracketed or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise ValueError(f"{text!r} is no HOST:PORT, such as 127.0.0.1:9072 or [::1]:9072")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
