"""Collections, documents and searches as messages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from picoseek_protos.v1 import collection_pb2, document_pb2, picture_pb2, revision_pb2, search_pb2

from picoseek.box import Box
from picoseek.collection import AttributeField, AttributeType, Collection, IndexConfig, Revision
from picoseek.document import AttributeValue, Document, DocumentMask
from picoseek.embedding import Metric, Vector, VectorType
from picoseek.errors import InvalidArgumentError
from picoseek.index_state import IndexSegment, IndexState
from picoseek.search import Hit, SearchOptions, SearchResult
from picoseek.wire.enums import ATTRIBUTE_TYPES, METRICS, VECTOR_TYPES
from picoseek.wire.messages import make, require, shown
from picoseek.wire.pictures import box_message
from picoseek.wire.provenance import provenance_from
from picoseek.wire.vectors import pack_vector, pack_vectors, space_from, space_message, unpack_floats, unpack_vector
from picoseek.wire.verdicts import explanation_from, verdict_from


def collection_message(collection: Collection) -> collection_pb2.Collection:
    """Return the message of a collection to make."""
    message = make(
        collection_pb2.Collection,
        name=collection.name,
        space=space_message(collection.space),
        index=index_message(collection.index),
        schema=schema_messages(collection.schema),
        description=collection.description,
    )
    if collection.metric is not None:
        message.metric = METRICS.to_wire(collection.metric)
    return message


def index_message(index: IndexConfig) -> collection_pb2.IndexConfig:
    """Return the message of how vectors are indexed."""
    return make(
        collection_pb2.IndexConfig,
        factory=index.factory,
        defaults=make(
            search_pb2.SearchParams, exact=index.exact, ef=index.ef, nprobe=index.nprobe, rerank=index.rerank
        ),
        ef_construction=index.ef_construction,
    )


def schema_messages(schema: Sequence[AttributeField]) -> list[collection_pb2.AttributeField]:
    """Return the messages of attributes."""
    return [
        make(
            collection_pb2.AttributeField,
            name=field.name,
            type=ATTRIBUTE_TYPES.to_wire(field.type),
            required=field.required,
            description=field.description,
        )
        for field in schema
    ]


def collection_from(message: collection_pb2.Collection) -> Collection:
    """Return a collection."""
    return Collection(
        name=message.name,
        space=space_from(message.space),
        metric=METRICS.from_wire(message.metric, Metric.COSINE) if message.metric else None,
        index=IndexConfig(
            message.index.factory,
            ef=message.index.defaults.ef,
            nprobe=message.index.defaults.nprobe,
            rerank=message.index.defaults.rerank,
            ef_construction=message.index.ef_construction,
            exact=message.index.defaults.exact,
        ),
        schema=tuple(
            AttributeField(
                field.name,
                ATTRIBUTE_TYPES.from_wire(field.type, AttributeType.STRING),
                field.required,
                field.description,
            )
            for field in message.schema
        ),
        description=message.description,
        documents=message.documents,
        items=message.items,
        revision=revision_from(message.revision),
        index_generation=message.index_generation,
        created_at=message.created_at.ToDatetime(UTC) if message.HasField("created_at") else None,
        updated_at=message.updated_at.ToDatetime(UTC) if message.HasField("updated_at") else None,
        etag=message.etag,
        restored_at=tuple(revision_from(revision) for revision in message.restored_at),
        problem=message.problem,
    )


def index_state_from(message: collection_pb2.GetCollectionResponse) -> IndexState:
    """Return what an index is made of."""
    return IndexState(
        pending=message.collection.index_pending,
        segments=tuple(
            IndexSegment(segment.id, segment.kind, segment.rows, segment.live_rows, segment.memory_bytes)
            for segment in message.collection.segments
        ),
        process_memory_bytes=message.process_memory_bytes,
    )


def revision_message(revision: Revision | None) -> revision_pb2.Revision | None:
    """Return the message of a revision."""
    return None if revision is None else make(revision_pb2.Revision, epoch=revision.epoch, sequence=revision.sequence)


def revision_from(message: revision_pb2.Revision) -> Revision:
    """Return a revision."""
    return Revision(message.epoch, message.sequence)


def mask_message(mask: DocumentMask) -> document_pb2.DocumentMask:
    """Return the message of a mask."""
    return make(
        document_pb2.DocumentMask,
        vector=mask.vector,
        labels=mask.labels,
        attributes=mask.attributes,
        payload=mask.payload,
        provenance=mask.provenance,
    )


def document_messages(documents: Iterable[Document]) -> list[document_pb2.Document]:
    """Return the messages of documents to write.

    Raises:
        InvalidArgumentError: they are no list of documents, or one of them cannot be written.
    """
    require("documents", documents, Iterable, "a list of Document")
    return [document_message(document) for document in documents]


def document_message(document: Document) -> document_pb2.Document:
    """Return the message of a document to write.

    Raises:
        InvalidArgumentError: it has no vector, or a value that its field cannot hold; the message names both.
    """
    require("one of documents", document, Document, "a Document")
    try:
        return _document_message(document)
    except InvalidArgumentError as error:
        message = f"document {shown(document.id)}: {error.message}"
        raise InvalidArgumentError(message, reason="DOCUMENT_INVALID") from error


def _document_message(document: Document) -> document_pb2.Document:
    if document.vector is None:
        raise InvalidArgumentError("it has no vector")
    message = make(
        document_pb2.Document,
        id=document.id,
        item=document.item,
        vector=pack_vector(document.vector),
        labels=document.labels,
        payload=document.payload,
    )
    for name, value in document.attributes.items():
        try:
            message.attributes[name].CopyFrom(_attribute_message(value))
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"attribute {shown(name)}: {error.message}") from error
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(f"attribute {shown(name)}: the name is no Unicode text") from error
    if document.provenance is not None:
        message.provenance.CopyFrom(make(document_pb2.Provenance, source=document.provenance.source))
        if document.provenance.crop_box is not None:
            message.provenance.crop_box.CopyFrom(_crop_box_message(document.provenance.crop_box))
    return message


def _crop_box_message(box: Box) -> picture_pb2.Box:
    message = box_message(box)
    edges = box.as_list()
    if not (all(map(math.isfinite, edges)) and box.x1 < box.x2 and box.y1 < box.y2):
        raise InvalidArgumentError(f"crop_box is {edges}; it takes finite pixels x1 y1 x2 y2 with x1 < x2 and y1 < y2")
    return message


def documents_from(
    response: search_pb2.SearchResponse | search_pb2.GetResponse | search_pb2.ListResponse,
) -> tuple[Document, ...]:
    """Return the documents of an answer; parts that it leaves out are empty."""
    vector_type = VECTOR_TYPES.from_wire(response.vector_type, VectorType.FLOAT32)
    return tuple(_document_from(message, vector_type) for message in response.documents)


def _document_from(message: document_pb2.Document, vector_type: VectorType) -> Document:
    return Document(
        id=message.id,
        vector=unpack_vector(message.vector, vector_type) if message.vector else None,
        item=message.item,
        labels=tuple(message.labels),
        attributes={name: _attribute_from(value) for name, value in message.attributes.items()},
        payload=message.payload,
        provenance=provenance_from(message.provenance) if message.HasField("provenance") else None,
    )


def search_request(
    collection: str, vectors: Sequence[Vector] | Vector, space: str, options: SearchOptions
) -> search_pb2.SearchRequest:
    """Return a request of one or more queries.

    Raises:
        InvalidArgumentError: there are none, or they have different lengths, or are not one vector a query, or an
            option has a value that it cannot have.
    """
    if not len(vectors):
        raise InvalidArgumentError("no vectors were given", reason="REQUEST_EMPTY")
    shape = np.shape(vectors[0])
    if len(shape) != 1:
        advice = "give a single one as [vector]" if not shape else "one vector a query"
        raise InvalidArgumentError(f"the queries' vectors must be [queries, dimension]: {advice}")
    return make(
        search_pb2.SearchRequest,
        collection=collection,
        vectors=pack_vectors(vectors),
        queries=len(vectors),
        space=space,
        k=options.k,
        filter=options.filter,
        score_threshold=options.score_threshold,
        max_per_item=options.max_per_item,
        params=make(
            search_pb2.SearchParams,
            exact=options.exact,
            ef=options.ef,
            nprobe=options.nprobe,
            rerank=options.rerank,
        ),
        # Where nothing of the documents is asked for, the service need not read them.
        include=None if options.include == DocumentMask() else mask_message(options.include),
        min_revision=revision_message(options.min_revision),
        false_accept_rate=options.false_accept_rate,
        explain=options.explain,
    )


def search_result_from(message: search_pb2.SearchResponse) -> SearchResult:
    """Return the hits, query by query."""
    ids, items = list(message.ids), list(message.items)
    documents = (
        documents_from(message)
        if message.documents
        else tuple(Document(id_, item=item) for id_, item in zip(ids, items, strict=True))
    )
    hits = tuple(map(Hit, ids, items, unpack_floats(message.scores).tolist(), documents))
    return SearchResult(
        hits=tuple(hits[start:end] for start, end in pairwise(message.offsets)),
        larger_is_closer=message.larger_is_closer,
        revision=revision_from(message.revision),
        index_generation=message.index_generation,
        collection=message.collection,
        shards_asked=message.shards.asked,
        shards_failed=tuple(message.shards.failed),
        total_us=message.total_us,
        verdicts=tuple(map(verdict_from, message.verdicts)),
        explanations=tuple(map(explanation_from, message.explanations)),
    )


def _attribute_message(value: AttributeValue) -> document_pb2.AttributeValue:
    match value:
        case bool():  # before int, of which it is a kind
            return document_pb2.AttributeValue(bool_value=value)
        case str():
            return make(document_pb2.AttributeValue, string_value=value)
        case int():
            return make(document_pb2.AttributeValue, int_value=value)
        case float():
            return document_pb2.AttributeValue(double_value=value)
        case datetime():
            moment = Timestamp()
            moment.FromDatetime(value)
            return document_pb2.AttributeValue(timestamp_value=moment)
        case tuple():
            return document_pb2.AttributeValue(string_list=make(document_pb2.StringList, values=value))
    raise InvalidArgumentError(
        f"it is {shown(value)}; it takes a text, a number, True or False, a datetime or a tuple of texts"
    )


def _attribute_from(message: document_pb2.AttributeValue) -> AttributeValue:
    kind = message.WhichOneof("kind")
    if kind == "timestamp_value":
        return message.timestamp_value.ToDatetime(UTC)
    if kind == "string_list":
        return tuple(message.string_list.values)
    value: AttributeValue = getattr(message, kind) if kind else ""
    return value
