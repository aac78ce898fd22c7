"""What a collection was made to be."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass, replace

from picoseek_chassis import errors
from picoseek_protos.v1 import collection_pb2, embedding_pb2

from picoseek_search.filtering.conditions import Schema
from picoseek_search.segment.factory import check_fit, parse_factory
from picoseek_search.segment.index_kind import IndexKind
from picoseek_search.segment.metric import Metric

MAX_DIMENSION = 16384
MAX_EF = 16384
DEFAULT_EF = 64
MAX_RERANK = 1000

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_NAME_RULE = "1 to 64 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit"
_ATTRIBUTE_NAME_RULE = "1 to 64 of a-z, 0-9, '_', beginning with a letter"
_ATTRIBUTE_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_DEFAULT_FACTORY = "HNSW32"
_DEFAULT_FACTORY_OF_BITS = "BHNSW32"
_DEFAULT_EF_CONSTRUCTION = 80
_MAX_EF_CONSTRUCTION = 2000
_MAX_ATTRIBUTES = 100
_MAX_DESCRIPTION_BYTES = 4096
_VECTOR_TYPES = (embedding_pb2.VECTOR_TYPE_FLOAT32, embedding_pb2.VECTOR_TYPE_BITS)
_METRICS = {
    embedding_pb2.METRIC_INNER_PRODUCT: Metric.INNER_PRODUCT,
    embedding_pb2.METRIC_COSINE: Metric.COSINE,
    embedding_pb2.METRIC_L2: Metric.L2,
    embedding_pb2.METRIC_HAMMING: Metric.HAMMING,
}


@dataclass(frozen=True)
class Specification:
    """Settings of a collection, checked and complete."""

    settings: collection_pb2.Collection
    """As they are stored."""
    dimension: int
    """Components of its vectors."""
    metric: Metric
    """How they are compared."""
    kind: IndexKind
    """How they are indexed."""
    schema: Schema
    """Type of each attribute, by name."""
    required: frozenset[str]
    """Attributes that every document must have."""
    schema_version: int = 0
    """Grows, in this process, with every change after which a document that was fit may not be so any more."""

    @property
    def name(self) -> str:
        """Name of the collection."""
        return self.settings.name

    @property
    def vector_type(self) -> embedding_pb2.VectorType.ValueType:
        """What its vectors are made of."""
        return self.settings.space.type

    @property
    def space(self) -> str:
        """Digest of its embedding space."""
        return self.settings.space.digest

    @property
    def ef(self) -> int:
        """HNSW: length of the candidate list of searches that do not say."""
        return min(self.settings.index.defaults.ef, MAX_EF) or DEFAULT_EF

    @property
    def nprobe(self) -> int:
        """IVF: cells that are visited by searches that do not say; 0: chosen by the number of cells."""
        return self.settings.index.defaults.nprobe

    @property
    def rerank(self) -> int:
        """SQ8 and PQ: candidates a hit that are compared in full; 0: chosen by the kind of code."""
        return self.settings.index.defaults.rerank

    @property
    def exact(self) -> bool:
        """Whether searches that do not say compare with every vector."""
        return self.settings.index.defaults.exact

    @property
    def etag(self) -> str:
        """Changes with every change of the settings."""
        return hashlib.sha256(self.settings.SerializeToString(deterministic=True)).hexdigest()[:16]

    def indexed_as(self, factory: str, ef_construction: int) -> Specification:
        """Return the same with another kind of index."""
        settings = collection_pb2.Collection()
        settings.CopyFrom(self.settings)
        settings.index.factory, settings.index.ef_construction = factory, ef_construction
        return self.changed(settings, self.schema_version)

    def changed(self, settings: collection_pb2.Collection, schema_version: int) -> Specification:
        """Return what other settings of the same collection make of it, changed now.

        Raises:
            ServiceError: COLLECTION_INVALID, the message names the field.
        """
        wanted = replace(specify(settings), schema_version=schema_version)
        wanted.settings.created_at.CopyFrom(self.settings.created_at)
        wanted.settings.updated_at.FromNanoseconds(max(time.time_ns(), self.settings.updated_at.ToNanoseconds() + 1))
        return wanted

    def asks_the_same_as(self, other: Specification) -> bool:
        """Whether two requests to make a collection want the same one."""
        return _asked(self.settings) == _asked(other.settings)


def is_name(name: str) -> bool:
    """Whether collections may have this name."""
    return _NAME.fullmatch(name) is not None


def specify(request: collection_pb2.Collection) -> Specification:
    """Check what a collection shall be and fill in the defaults.

    Raises:
        ServiceError: COLLECTION_INVALID, the message names the field.
    """
    settings = _asked(request)
    _require(_NAME.fullmatch(settings.name), "name", _NAME_RULE)
    _check_space(settings.space)
    is_binary = settings.space.type == embedding_pb2.VECTOR_TYPE_BITS
    if settings.metric == embedding_pb2.METRIC_UNSPECIFIED:
        usual = embedding_pb2.METRIC_HAMMING if is_binary else embedding_pb2.METRIC_COSINE
        settings.metric = settings.space.metric or usual
    _require(settings.metric in _METRICS, "metric", "inner product, cosine, L2 or Hamming")
    metric = _METRICS[settings.metric]
    fitting = "Hamming, since space.type is packed bits" if is_binary else "another one: Hamming is for packed bits"
    _require(metric.is_binary == is_binary, "metric", fitting)
    _require(settings.shards <= 1, "shards", "1; more are not served yet")
    _require(settings.replicas <= 1, "replicas", "1; more are not served yet")
    settings.shards = settings.replicas = 1
    _require(len(settings.description.encode()) <= _MAX_DESCRIPTION_BYTES, "description", "at most 4096 bytes")
    index = settings.index
    index.factory = index.factory or (_DEFAULT_FACTORY_OF_BITS if is_binary else _DEFAULT_FACTORY)
    index.ef_construction = index.ef_construction or _DEFAULT_EF_CONSTRUCTION
    _require(8 <= index.ef_construction <= _MAX_EF_CONSTRUCTION, "index.ef_construction", "8 to 2000, or 0")
    _require(index.defaults.ef <= MAX_EF, "index.defaults.ef", f"at most {MAX_EF}")
    _require(index.defaults.rerank <= MAX_RERANK, "index.defaults.rerank", f"at most {MAX_RERANK}")
    try:
        kind = parse_factory(index.factory, index.ef_construction)
        check_fit(kind, settings.space.dimension, is_binary=is_binary)
    except ValueError as error:
        raise _invalid("index.factory", str(error)) from error
    _check_schema(settings)
    return Specification(
        settings,
        settings.space.dimension,
        metric,
        kind,
        {attribute.name: int(attribute.type) for attribute in settings.schema},
        frozenset(attribute.name for attribute in settings.schema if attribute.required),
    )


def check_alias_name(name: str) -> None:
    """Check the name of an alias, which follows the rule of collections' names.

    Raises:
        ServiceError: ALIAS_INVALID.
    """
    if not _NAME.fullmatch(name):
        raise errors.invalid_argument("ALIAS_INVALID", f"alias.name: it must be {_NAME_RULE}", field="name")


def _check_space(space: embedding_pb2.EmbeddingSpace) -> None:
    _require(
        _DIGEST.fullmatch(space.digest), "space.digest", '"sha256:" and 64 hex digits, as the embedding carries it'
    )
    _require(1 <= space.dimension <= MAX_DIMENSION, "space.dimension", f"1 to {MAX_DIMENSION}")
    space.type = space.type or embedding_pb2.VECTOR_TYPE_FLOAT32
    _require(space.type in _VECTOR_TYPES, "space.type", "float32 or packed bits")
    if space.type == embedding_pb2.VECTOR_TYPE_BITS:
        _require(space.dimension % 8 == 0, "space.dimension", "a multiple of 8, since the bits are packed into bytes")


def _check_schema(settings: collection_pb2.Collection) -> None:
    _require(len(settings.schema) <= _MAX_ATTRIBUTES, "schema", f"at most {_MAX_ATTRIBUTES} attributes")
    seen: set[str] = set()
    for place, attribute in enumerate(settings.schema):
        field = f"schema[{place}]"
        _require(_ATTRIBUTE_NAME.fullmatch(attribute.name), f"{field}.name", _ATTRIBUTE_NAME_RULE)
        _require(attribute.name not in seen, f"{field}.name", "different from the names before")
        _require(
            collection_pb2.ATTRIBUTE_TYPE_STRING <= attribute.type <= collection_pb2.ATTRIBUTE_TYPE_STRING_LIST,
            f"{field}.type",
            "one of the types of AttributeType",
        )
        seen.add(attribute.name)


def _asked(settings: collection_pb2.Collection) -> collection_pb2.Collection:
    return collection_pb2.Collection(
        name=settings.name,
        space=settings.space,
        metric=settings.metric,
        index=settings.index,
        schema=settings.schema,
        shards=settings.shards,
        replicas=settings.replicas,
        description=settings.description,
    )


def _require(condition: object, field: str, what: str) -> None:
    if not condition:
        raise _invalid(field, f"it must be {what}")


def _invalid(field: str, message: str) -> errors.ServiceError:
    return errors.invalid_argument("COLLECTION_INVALID", f"collection.{field}: {message}", field=field)
