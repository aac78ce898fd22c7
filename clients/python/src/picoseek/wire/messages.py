"""Messages made of what callers gave; what does not fit into one is refused by its name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from picoseek.errors import InvalidArgumentError

P = ParamSpec("P")
MessageT = TypeVar("MessageT", bound=Message)

_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_LONGEST_SHOWN = 60


def make(kind: Callable[P, MessageT], *args: P.args, **fields: P.kwargs) -> MessageT:
    """Return a message of a kind with these fields.

    Raises:
        InvalidArgumentError: a value is none that its field can hold; the message says which, and what it can hold.
    """
    # A text is a sequence of texts, too, and nobody means that.
    for name in _repeated(kind):
        if isinstance(fields.get(name), str | bytes):
            raise InvalidArgumentError(f"{name} {_fault(kind, name, fields[name])}", reason="ARGUMENT_INVALID")
    try:
        return kind(*args, **fields)
    except (TypeError, ValueError) as error:
        for name, value in fields.items():
            if problem := _fault(kind, name, value):
                raise InvalidArgumentError(f"{name} {problem}", reason="ARGUMENT_INVALID") from error
        raise InvalidArgumentError(f"an argument cannot be sent: {error}", reason="ARGUMENT_INVALID") from error


def require(name: str, value: object, kind: type, allowed: str) -> None:
    """Refuse an argument of another type.

    Raises:
        InvalidArgumentError: it is none; the message names it and says what is allowed.
    """
    if not isinstance(value, kind) or isinstance(value, str | bytes):
        raise InvalidArgumentError(f"{name} is {shown(value)}; give {allowed}", reason="ARGUMENT_INVALID")


def shown(value: object) -> str:
    """Return a value as an error shows it: short, and in signs that can be printed."""
    if not isinstance(value, str | bytes | int | float):
        return f"of type {type(value).__name__}"
    shown = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"


def _fault(kind: Callable[..., Message], name: str, value: object) -> str:
    """Return why a field cannot hold a value, to be read after its name; empty: it can."""
    field = _descriptor(kind).fields_by_name[name]
    if not field.is_repeated:
        return "" if _fits(kind, name, value) else _why(field, value)
    if isinstance(value, str | bytes):
        return f"is the one text {shown(value)}; give a list of texts"
    if isinstance(value, Sequence):
        for place, one in enumerate(value):
            if not _fits(kind, name, [one]):
                return f"has an entry, number {place}, that {_why(field, one)}"
    return "" if _fits(kind, name, value) else f"is {shown(value)}; give a list"


def _fits(kind: Callable[..., Message], name: str, value: object) -> bool:
    try:
        kind(**{name: value})
    except (TypeError, ValueError):
        return False
    return True


def _why(field: FieldDescriptor, value: object) -> str:
    if isinstance(value, str) and field.type == FieldDescriptor.TYPE_STRING:
        return f"is {shown(value)}, which is no Unicode text: it holds half a surrogate pair; decode it rightly"
    return f"is {shown(value)}; it takes {_takes(field)}"


def _takes(field: FieldDescriptor) -> str:
    if field.cpp_type in _RANGES:
        low, high = _RANGES[field.cpp_type]
        return f"a whole number from {low} to {high}"
    if field.type == FieldDescriptor.TYPE_STRING:
        return "a text"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return "bytes"
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return "True or False"
    if field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return "a number"
    return f"a value of {field.message_type.name}" if field.message_type else "one of the named values"


@functools.cache
def _repeated(kind: Callable[..., Message]) -> tuple[str, ...]:
    return tuple(field.name for field in _descriptor(kind).fields if field.is_repeated)


def _descriptor(kind: Any) -> Any:
    return kind.DESCRIPTOR
