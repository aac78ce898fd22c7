"""Checks of documents and vectors that callers send."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from picoseek_chassis import errors
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import collection_pb2, document_pb2

from picoseek_search.collection.specification import Specification
from picoseek_search.segment.arrays import Vectors
from picoseek_search.segment.metric import Metric

MAX_NAME_BYTES = 512
MAX_LABELS = 100
MAX_ATTRIBUTE_BYTES = 64 << 10
MAX_PAYLOAD_BYTES = 64 << 10
MAX_SOURCE_BYTES = 4096
MAX_REQUEST_ID_CHARACTERS = 128
MAX_LENGTH = 1e18
"""L2 norm of the longest vector: products of longer ones leave the range of float32."""
_LEAST_SQUARE, _MOST_SQUARE = 1e-30, 1e35
"""Squared lengths between them, found in single precision, are above 0 and below the square of `MAX_LENGTH`."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_KINDS: dict[int, str] = {
    collection_pb2.ATTRIBUTE_TYPE_STRING: "string_value",
    collection_pb2.ATTRIBUTE_TYPE_INT: "int_value",
    collection_pb2.ATTRIBUTE_TYPE_DOUBLE: "double_value",
    collection_pb2.ATTRIBUTE_TYPE_BOOL: "bool_value",
    collection_pb2.ATTRIBUTE_TYPE_TIMESTAMP: "timestamp_value",
    collection_pb2.ATTRIBUTE_TYPE_STRING_LIST: "string_list",
}


def check_space(space: str, specification: Specification) -> None:
    """Refuse vectors of another embedding space.

    Raises:
        ServiceError: EMBEDDING_SPACE_MISMATCH.
    """
    if space != specification.space:
        raise errors.failed_precondition(
            "EMBEDDING_SPACE_MISMATCH",
            f"the vectors are of space {space[:80]!r} and collection {specification.name!r} is of "
            f"{specification.space!r}; use the model that it was made with, or another collection",
            space=space[:80],
            collection_space=specification.space,
        )


def check_request_id(request_id: str) -> None:
    """Refuse names of writes that are too long or hold control characters.

    Raises:
        ServiceError: DOCUMENT_INVALID.
    """
    if len(request_id) > MAX_REQUEST_ID_CHARACTERS or _CONTROL.search(request_id):
        raise _document_invalid(
            "request_id", f"it must be at most {MAX_REQUEST_ID_CHARACTERS} characters without control characters"
        )


def check_id(field: str, id_: str) -> None:
    """Refuse what cannot be the id of a document.

    Raises:
        ServiceError: DOCUMENT_INVALID.
    """
    if not id_:
        raise _document_invalid(field, "it is empty; every document needs an id")
    _check_name(field, id_)


def check_different(field: str, ids: Sequence[str]) -> None:
    """Refuse lists that name an id twice.

    Raises:
        ServiceError: DUPLICATE_ID.
    """
    if len(set(ids)) == len(ids):
        return
    seen: set[str] = set()
    for place, id_ in enumerate(ids):
        if id_ in seen:
            raise errors.invalid_argument(
                "DUPLICATE_ID",
                f"{field}[{place}] has the id {id_!r}, which came before; send each id once",
                field=field,
                id=id_,
            )
        seen.add(id_)


def check_documents(documents: Sequence[document_pb2.Document], specification: Specification) -> None:
    """Refuse documents that the collection cannot hold.

    Raises:
        ServiceError: DOCUMENT_INVALID, DUPLICATE_ID, VECTOR_DIMENSION_MISMATCH or VECTOR_NOT_FINITE.
    """
    for place, document in enumerate(documents):
        _check_document(f"documents[{place}]", document, specification)
    check_different("documents", [document.id for document in documents])
    vectors = specification.metric.decode([document.vector for document in documents], specification.dimension)
    _check_values(vectors, specification.metric, "documents[{}].vector")


def check_queries(vectors: bytes, queries: int, specification: Specification) -> Vectors:
    """Return the queries' vectors, shape (queries, columns), or refuse them.

    Raises:
        ServiceError: VECTOR_DIMENSION_MISMATCH or VECTOR_NOT_FINITE.
    """
    expected = queries * _row_bytes(specification)
    if len(vectors) != expected:
        raise _dimension_mismatch(
            f"vectors has {len(vectors)} bytes; {queries} queries of {_layout(specification)} are {expected}",
            specification,
        )
    values = specification.metric.decode([vectors], specification.dimension)
    _check_values(values, specification.metric, "query {} of vectors")
    return values


def _check_document(field: str, document: document_pb2.Document, specification: Specification) -> None:
    check_id(f"{field}.id", document.id)
    _check_name(f"{field}.item", document.item)
    expected = _row_bytes(specification)
    if len(document.vector) != expected:
        raise _dimension_mismatch(
            f"{field}.vector has {len(document.vector)} bytes; {_layout(specification)} are {expected}",
            specification,
        )
    if len(document.labels) > MAX_LABELS:
        raise _document_invalid(f"{field}.labels", f"it has more than {MAX_LABELS} entries")
    for place, label in enumerate(document.labels):
        if not label:
            raise _document_invalid(f"{field}.labels[{place}]", "it is empty")
        _check_name(f"{field}.labels[{place}]", label)
    if len(document.payload) > MAX_PAYLOAD_BYTES:
        raise _document_invalid(f"{field}.payload", f"it has more than {MAX_PAYLOAD_BYTES} bytes")
    if len(document.provenance.source.encode()) > MAX_SOURCE_BYTES:
        raise _document_invalid(f"{field}.provenance.source", f"it has more than {MAX_SOURCE_BYTES} bytes")
    _check_attributes(f"{field}.attributes", document, specification)


def _check_attributes(field: str, document: document_pb2.Document, specification: Specification) -> None:
    size = 0
    for name, value in document.attributes.items():
        kind = specification.schema.get(name)
        if kind is None:
            known = ", ".join(sorted(specification.schema)) or "none"
            raise _document_invalid(f"{field}[{name[:64]!r}]", f"the collection's schema has it not; it has: {known}")
        if value.WhichOneof("kind") != _KINDS[kind]:
            raise _document_invalid(f"{field}[{name!r}]", _other_kind(value.WhichOneof("kind"), _KINDS[kind]))
        if value.WhichOneof("kind") == "double_value" and not math.isfinite(value.double_value):
            raise _document_invalid(f"{field}[{name!r}]", "it is not a finite number")
        if value.WhichOneof("kind") == "timestamp_value":
            _check_timestamp(f"{field}[{name!r}]", value)
        size += value.ByteSize()
    if size > MAX_ATTRIBUTE_BYTES:
        raise _document_invalid(field, f"together they have more than {MAX_ATTRIBUTE_BYTES} bytes")
    for name in sorted(specification.required):
        if name not in document.attributes:
            raise _document_invalid(f"{field}[{name!r}]", "the schema requires it")


def _other_kind(kind: str | None, wanted: str) -> str:
    advice = "; send a whole number as 5.0, not 5" if (kind, wanted) == ("int_value", "double_value") else ""
    return f"it is {kind or 'without a value'}, the schema says {wanted}{advice}"


def _check_timestamp(field: str, value: document_pb2.AttributeValue) -> None:
    try:
        value.timestamp_value.ToJsonString()
    except ValueError as error:
        raise _document_invalid(field, f"it is no time from year 1 to 9999: {error}") from error


def _check_name(field: str, text: str) -> None:
    if len(text.encode()) > MAX_NAME_BYTES:
        raise _document_invalid(field, f"it has more than {MAX_NAME_BYTES} bytes")
    if _CONTROL.search(text):
        raise _document_invalid(field, "it holds a control character")


def _row_bytes(specification: Specification) -> int:
    return specification.metric.row_bytes(specification.dimension)


def _layout(specification: Specification) -> str:
    return f"{specification.dimension} {'packed bits' if specification.metric.is_binary else 'float32'}"


def _check_values(vectors: Vectors, metric: Metric, field: str) -> None:
    if metric.is_binary or _are_ordinary(vectors):
        return
    wide = vectors.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.sqrt(np.einsum("rd,rd->r", wide, wide))
    # NaN is not below anything.
    bad = np.flatnonzero(~(lengths < MAX_LENGTH))
    if len(bad):
        place = int(bad[0])
        cause = f"it is longer than {MAX_LENGTH:g}" if np.isfinite(vectors[place]).all() else "it holds NaN or infinity"
        raise _not_finite(field.format(place), cause)
    if metric is Metric.COSINE and (lengths == 0).any():
        place = int(np.flatnonzero(lengths == 0)[0])
        raise _not_finite(field.format(place), "all of it is 0, which has no direction and no cosine")


def _are_ordinary(vectors: Vectors) -> bool:
    """Whether single precision is enough to see that all lengths are fine, as they nearly always are."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        squares = np.vecdot(vectors, vectors)
    # NaN is neither.
    return bool(squares.min(initial=1.0) > _LEAST_SQUARE and squares.max(initial=1.0) < _MOST_SQUARE)


def _not_finite(field: str, cause: str) -> ServiceError:
    return errors.invalid_argument(
        "VECTOR_NOT_FINITE", f"{field}: {cause}; send finite numbers that can be compared", field=field
    )


def _dimension_mismatch(message: str, specification: Specification) -> ServiceError:
    return errors.invalid_argument(
        "VECTOR_DIMENSION_MISMATCH",
        f"{message}; send vectors of the collection's dimension",
        dimension=str(specification.dimension),
    )


def _document_invalid(field: str, message: str) -> ServiceError:
    return errors.invalid_argument("DOCUMENT_INVALID", f"{field}: {message}", field=field)
