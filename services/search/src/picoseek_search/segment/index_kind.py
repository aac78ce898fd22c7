"""Which indexes are served, by Faiss factory string."""

from __future__ import annotations

import re
from dataclasses import dataclass

SERVED = '"Flat" or "HNSW<M>" with M from 4 to 64'
"""The factory strings that are served, for messages."""

_HNSW = re.compile(r"HNSW(\d{1,2})", re.ASCII)


@dataclass(frozen=True)
class IndexKind:
    """An index over float32 vectors."""

    links: int | None
    """HNSW: links a row (Faiss' M); None: Flat."""
    ef_construction: int = 80
    """HNSW: length of the candidate list while building."""

    @classmethod
    def parse(cls, factory: str, ef_construction: int) -> IndexKind:
        """Read a factory string.

        Raises:
            ValueError: it is not one that is served.
        """
        if factory == "Flat":
            return cls(None, ef_construction)
        match = _HNSW.fullmatch(factory)
        if match is None or not 4 <= int(match[1]) <= 64:
            raise ValueError(f"index factory {factory!r} is not served; use {SERVED}")
        return cls(int(match[1]), ef_construction)

    @property
    def is_exact(self) -> bool:
        """Whether it compares with every row anyway."""
        return self.links is None

    @property
    def factory(self) -> str:
        """The factory string."""
        return "Flat" if self.links is None else f"HNSW{self.links}"

    def exact(self) -> IndexKind:
        """Return the kind that compares with every row."""
        return IndexKind(None, self.ef_construction)
