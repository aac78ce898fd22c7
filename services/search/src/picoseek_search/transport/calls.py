"""What the handlers of all calls need."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar, cast

import grpc.aio
from picoseek_chassis import errors
from picoseek_chassis.errors import ServiceError
from picoseek_protos.v1 import revision_pb2

from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.collection import Collection
from picoseek_search.storage.log import Revision

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_Result = TypeVar("_Result")

_RETRY_AFTER_S = 0.1


def deadline_of(context: Context) -> float | None:
    """Return the `time.monotonic()` until which the caller waits, or None."""
    # The stubs do not know that a call may be without a deadline.
    remaining = cast("float | None", context.time_remaining())
    return None if remaining is None else time.monotonic() + remaining


def new_request_id() -> str:
    """Return a name for a write whose caller gave none."""
    return str(uuid.uuid4())


def revision_message(revision: Revision) -> revision_pb2.Revision:
    """Return the revision as it is sent."""
    return revision_pb2.Revision(epoch=revision.epoch, sequence=revision.sequence)


async def on_collection(catalog: Catalog, name: str, call: Callable[[Collection], Awaitable[_Result]]) -> _Result:
    """Make a call about the collection that a name or alias stands for now, and about no other.

    Only if that collection is removed or replaced before the call is done, which has then done nothing, it is made
    about the one that the name or alias stands for by then.

    Raises:
        ServiceError: COLLECTION_NOT_FOUND, or what the call raises.
    """
    collection = catalog.get(name)
    try:
        return await call(collection)
    except ServiceError as error:
        if error.reason not in ("COLLECTION_NOT_FOUND", "COLLECTION_RESTORED"):
            raise
        moved = catalog.get(name)
        if moved is collection:
            raise
    return await call(moved)


async def wait_for_revision(
    collection: Collection, wanted: revision_pb2.Revision, longest_s: float, deadline: float | None
) -> None:
    """Wait until searches see a revision, for half of the caller's time or `longest_s`, whichever is shorter.

    Raises:
        ServiceError: REVISION_NOT_REACHED or REVISION_LOST.
    """
    revision = Revision(wanted.epoch, wanted.sequence)
    epoch = collection.shard.snapshot.revision.epoch
    if revision.epoch < epoch and not collection.history.contains(revision, epoch):
        raise errors.failed_precondition(
            "REVISION_LOST",
            f"the write at min_revision {revision.epoch}.{revision.sequence} is gone, because the collection was "
            "restored from an older snapshot: ask without min_revision, and write it again if it is still wanted",
            revision=f"{revision.epoch}.{revision.sequence}",
        )
    if collection.shard.snapshot.revision >= revision:
        return
    if deadline is not None:
        longest_s = min(longest_s, max(0.0, deadline - time.monotonic()) / 2)
    try:
        await asyncio.wait_for(asyncio.wrap_future(collection.shard.when_reached(revision)), longest_s)
    except TimeoutError as error:
        here = collection.shard.snapshot.revision
        raise errors.failed_precondition(
            "REVISION_NOT_REACHED",
            f"min_revision {revision.epoch}.{revision.sequence} was not reached in {longest_s:g} s, "
            f"this service is at {here.epoch}.{here.sequence}; send it again later",
            retry_after_s=_RETRY_AFTER_S,
            revision=f"{here.epoch}.{here.sequence}",
        ) from error
