"""Collections: galleries as the search service keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from picoseek.embedding import EmbeddingSpace, Metric


@dataclass(frozen=True, slots=True, order=True)
class Revision:
    """A point in a collection's order of writes; opaque, but two of one collection compare."""

    epoch: int = 0
    """Life of the collection's log."""
    sequence: int = 0
    """Position in the log; 0: nothing was written yet."""


class AttributeType(Enum):
    """Type of an attribute."""

    STRING = "string"
    """Text."""
    INT = "int"
    """Whole number, 64 bits."""
    DOUBLE = "double"
    """Number."""
    BOOL = "bool"
    """Truth."""
    TIMESTAMP = "timestamp"
    """Point in time."""
    STRING_LIST = "string_list"
    """Several texts."""


@dataclass(frozen=True)
class AttributeField:
    """An attribute that documents may carry."""

    name: str
    """1 to 64 characters of a-z, 0-9, '_', beginning with a letter."""
    type: AttributeType
    """Type of its values."""
    required: bool = False
    """Documents without it are refused."""
    description: str = ""
    """For people."""


@dataclass(frozen=True)
class IndexConfig:
    """How vectors are indexed."""

    factory: str = ""
    """A Faiss factory string such as "Flat", "HNSW32" or "IVF,PQ64", see docs/search-indexes.md; empty: the default."""
    ef: int = 0
    """HNSW: candidates that a search keeps if it does not say; 0: the service's default."""
    nprobe: int = 0
    """IVF: cells that a search visits if it does not say; 0: the service's default."""
    rerank: int = 0
    """SQ8 and PQ: candidates a hit that a search compares in full if it does not say; 0: the service's default."""
    ef_construction: int = 0
    """HNSW: length of the candidate list while building; 0: the service's default."""
    exact: bool = False
    """Searches that do not say compare with every vector."""


@dataclass(frozen=True)
class Collection:
    """Documents whose vectors are of one embedding space."""

    name: str
    """1 to 64 characters of a-z, 0-9, '-', '_', '.', beginning with a letter or digit."""
    space: EmbeddingSpace
    """Space of its vectors."""
    metric: Metric | None = None
    """How its vectors are compared; None: the metric of the space, else cosine."""
    index: IndexConfig = IndexConfig()
    """How its vectors are indexed."""
    schema: tuple[AttributeField, ...] = ()
    """Attributes that its documents may carry."""
    description: str = ""
    """For people."""
    documents: int = 0
    """Documents in it. Set by the service."""
    items: int = 0
    """Different items among them. Set by the service."""
    revision: Revision = Revision()
    """Newest write. Set by the service."""
    index_generation: int = 0
    """Grows whenever its index is built, merged or replaced. Set by the service."""
    created_at: datetime | None = None
    """When it was made. Set by the service."""
    updated_at: datetime | None = None
    """When its settings were changed last. Set by the service."""
    etag: str = ""
    """Changes with every change of its settings. Set by the service."""
    restored_at: tuple[Revision, ...] = ()
    """Revisions at which restores ended earlier lives of its log; later writes of those epochs are gone. Set by the
    service."""
    problem: str = ""
    """Why it cannot be used, and what to do, when it was listed; empty: it can be. Set by the service."""


@dataclass(frozen=True)
class CollectionUpdate:
    """What a change of a collection's settings has done."""

    collection: Collection
    """As it is now."""
    operation_id: str = ""
    """The rebuild that the change calls for, see `wait_operation`; empty: none."""


@dataclass(frozen=True)
class Alias:
    """A second name of a collection."""

    name: str
    """Like a collection's name, and different from all of them."""
    collection: str
    """Name of the collection."""
