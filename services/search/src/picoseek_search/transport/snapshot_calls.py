"""Answers about snapshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from picoseek_protos.v1 import snapshot_pb2

from picoseek_search.collection.workers import Workers
from picoseek_search.snapshots.snapshot_operations import SnapshotOperations
from picoseek_search.transport.admission import Admission
from picoseek_search.transport.page_token import decode_page_token, encode_page_token

_Answer = TypeVar("_Answer")

_MAX_PAGE = 1000
_DEFAULT_PAGE = 100


class SnapshotCalls:
    """The part of picoseek.v1.CollectionService that is about snapshots."""

    def __init__(self, snapshots: SnapshotOperations, workers: Workers, admission: Admission) -> None:
        """Answer about snapshots.

        Args:
            snapshots: which there are.
            workers: threads; those that wait for the store do nothing else.
            admission: bound on the calls.
        """
        self._snapshots = snapshots
        self._workers = workers
        self._admission = admission

    async def create(
        self, request: snapshot_pb2.CreateSnapshotRequest, deadline: float | None
    ) -> snapshot_pb2.CreateSnapshotResponse:
        """See the contract."""
        return await self._run(
            deadline, lambda: snapshot_pb2.CreateSnapshotResponse(operation=self._snapshots.create(request))
        )

    async def get(
        self, request: snapshot_pb2.GetSnapshotRequest, deadline: float | None
    ) -> snapshot_pb2.GetSnapshotResponse:
        """See the contract."""

        def read() -> snapshot_pb2.GetSnapshotResponse:
            return snapshot_pb2.GetSnapshotResponse(snapshot=self._snapshots.get(request.collection, request.snapshot))

        return await self._run(deadline, read)

    async def list(
        self, request: snapshot_pb2.ListSnapshotsRequest, deadline: float | None
    ) -> snapshot_pb2.ListSnapshotsResponse:
        """See the contract."""
        listing = f"snapshots\0{request.collection}"
        after = decode_page_token(listing, request.page_token)
        limit = min(request.page_size or _DEFAULT_PAGE, _MAX_PAGE)

        def read() -> snapshot_pb2.ListSnapshotsResponse:
            found = [(_place(one), one) for one in self._snapshots.list(request.collection)]
            page = [(place, one) for place, one in found if not after or place > after]
            response = snapshot_pb2.ListSnapshotsResponse(snapshots=[one for _, one in page[:limit]])
            if len(page) > limit:
                response.next_page_token = encode_page_token(listing, page[limit - 1][0])
            return response

        return await self._run(deadline, read)

    async def verify(
        self, request: snapshot_pb2.VerifySnapshotRequest, deadline: float | None
    ) -> snapshot_pb2.VerifySnapshotResponse:
        """See the contract."""
        return await self._run(
            deadline, lambda: snapshot_pb2.VerifySnapshotResponse(operation=self._snapshots.verify(request))
        )

    async def restore(
        self, request: snapshot_pb2.RestoreSnapshotRequest, deadline: float | None
    ) -> snapshot_pb2.RestoreSnapshotResponse:
        """See the contract."""
        return await self._run(
            deadline, lambda: snapshot_pb2.RestoreSnapshotResponse(operation=self._snapshots.restore(request))
        )

    async def delete(
        self, request: snapshot_pb2.DeleteSnapshotRequest, deadline: float | None
    ) -> snapshot_pb2.DeleteSnapshotResponse:
        """See the contract."""
        return await self._run(
            deadline, lambda: snapshot_pb2.DeleteSnapshotResponse(operation=self._snapshots.delete(request))
        )

    async def _run(self, deadline: float | None, work: Callable[[], _Answer]) -> _Answer:
        return await self._admission.run(self._workers.store, 1, deadline, work)


def _place(snapshot: snapshot_pb2.Snapshot) -> str:
    """Return a text by which snapshots are in the order of the listing: newest first."""
    age = (1 << 63) - snapshot.created_at.ToNanoseconds()
    return f"{age:020d}\0{snapshot.collection}\0{snapshot.name}"
