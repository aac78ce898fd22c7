"""What of a collection's settings may be changed, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.field_mask_pb2 import FieldMask
from picoseek_chassis import errors
from picoseek_protos.v1 import collection_pb2

from picoseek_search.collection.specification import Specification
from picoseek_search.storage.documents import DocumentReader

_CHANGEABLE = ("description", "index", "replicas", "schema")
_CURES = {
    "name": "set an alias to give a collection a second name",
    "space": "make a new collection beside and move an alias to it",
    "metric": "make a new collection beside and move an alias to it",
    "shards": "make a new collection beside and move an alias to it",
}


def merged(
    current: collection_pb2.Collection, asked: collection_pb2.Collection, mask: FieldMask
) -> collection_pb2.Collection:
    """Return settings with those fields replaced that a mask names.

    Raises:
        ServiceError: UPDATE_MASK_INVALID.
    """
    if not mask.paths:
        raise _mask_invalid(f"it is empty; name what to change: {', '.join(_CHANGEABLE)}, or fields within index")
    for path in mask.paths:
        first = path.partition(".")[0]
        if first not in _CHANGEABLE or not FieldMask(paths=[path]).IsValidForDescriptor(asked.DESCRIPTOR):
            cure = _CURES.get(first, f"name only {', '.join(_CHANGEABLE)}, or fields within index")
            raise _mask_invalid(f"{path[:64]!r} cannot be changed; {cure}")
    result = collection_pb2.Collection()
    result.CopyFrom(current)
    mask.MergeMessage(asked, result, replace_message_field=True, replace_repeated_field=True)
    return result


@dataclass(frozen=True)
class SchemaChange:
    """The way from one schema to another."""

    gone: frozenset[str]
    """Attributes that no document may have: they are removed, or their type changes."""
    demanded: frozenset[str]
    """Attributes that every document must have and did not have to."""

    @classmethod
    def between(cls, current: Specification, wanted: Specification) -> SchemaChange:
        """Compare two schemas."""
        gone = {name for name, type_ in current.schema.items() if wanted.schema.get(name) != type_}
        return cls(frozenset(gone), frozenset(wanted.required - current.required))

    @property
    def is_narrowing(self) -> bool:
        """Whether a document that was fit may not be so any more."""
        return bool(self.gone or self.demanded)

    def checker(self) -> Callable[[DocumentReader], None]:
        """Return what raises SCHEMA_IN_USE if a document is not fit any more."""

        def check(reader: DocumentReader) -> None:
            for name in sorted(self.gone):
                count, id_ = reader.with_attribute(name)
                if count:
                    raise _in_use(
                        name, count, id_, "have it, and would not fit; delete them or replace them without it"
                    )
            for name in sorted(self.demanded):
                count, id_ = reader.without_attribute(name)
                if count:
                    raise _in_use(name, count, id_, "lack it, and would not fit; delete them or replace them with it")

        return check


def _in_use(name: str, count: int, id_: str, what: str) -> errors.ServiceError:
    return errors.failed_precondition(
        "SCHEMA_IN_USE",
        f"collection.schema: attribute {name!r} cannot change so: {count} documents {what} first, for example {id_!r}",
        attribute=name,
        documents=str(count),
        id=id_,
    )


def _mask_invalid(message: str) -> errors.ServiceError:
    return errors.invalid_argument("UPDATE_MASK_INVALID", f"update_mask: {message}", field="update_mask")
