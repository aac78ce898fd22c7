"""Answers about work that outlasts a call."""

from __future__ import annotations

import asyncio
from typing import Any

from picoseek_chassis import errors
from picoseek_protos.v1 import operation_pb2

from picoseek_search.collection.workers import Workers
from picoseek_search.operations.operations import Operations
from picoseek_search.transport.admission import Admission
from picoseek_search.transport.page_token import decode_page_token, encode_page_token

_MAX_PAGE = 1000
_DEFAULT_PAGE = 100


class OperationCalls:
    """The part of picoseek.v1.CollectionService that is about operations."""

    def __init__(
        self,
        operations: Operations,
        workers: Workers,
        admission: Admission,
        longest_wait_s: float,
        draining: asyncio.Event,
    ) -> None:
        """Answer about operations.

        Args:
            operations: which there are.
            workers: threads.
            admission: bound on the calls.
            longest_wait_s: how long a call waits for an operation at most.
            draining: set when the service is stopping and calls shall end.
        """
        self._operations = operations
        self._workers = workers
        self._admission = admission
        self._longest_wait_s = longest_wait_s
        self._draining = draining

    async def get(
        self, request: operation_pb2.GetOperationRequest, deadline: float | None
    ) -> operation_pb2.GetOperationResponse:
        """See the contract."""

        def read() -> operation_pb2.GetOperationResponse:
            return operation_pb2.GetOperationResponse(operation=self._operations.get(request.id))

        return await self._admission.run(self._workers.read, 1, deadline, read)

    async def list(
        self, request: operation_pb2.ListOperationsRequest, deadline: float | None
    ) -> operation_pb2.ListOperationsResponse:
        """See the contract."""
        listing = f"operations\0{request.collection}"
        before = int(decode_page_token(listing, request.page_token) or 0)
        limit = min(request.page_size or _DEFAULT_PAGE, _MAX_PAGE)

        def read() -> operation_pb2.ListOperationsResponse:
            found = self._operations.page(request.collection, before, limit + 1)
            response = operation_pb2.ListOperationsResponse(operations=[one.operation for one in found[:limit]])
            if len(found) > limit:
                response.next_page_token = encode_page_token(listing, str(found[limit - 1].number))
            return response

        return await self._admission.run(self._workers.read, 1, deadline, read)

    async def wait(
        self, request: operation_pb2.WaitOperationRequest, deadline: float | None
    ) -> operation_pb2.WaitOperationResponse:
        """See the contract."""
        timeout_s = self._timeout_s(request)
        ended: asyncio.Future[Any] = asyncio.wrap_future(self._operations.when_ended(request.id))
        stopping: asyncio.Future[Any] = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait([ended, stopping], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            stopping.cancel()
        answer = await self.get(operation_pb2.GetOperationRequest(id=request.id), deadline)
        return operation_pb2.WaitOperationResponse(operation=answer.operation)

    async def cancel(
        self, request: operation_pb2.CancelOperationRequest, deadline: float | None
    ) -> operation_pb2.CancelOperationResponse:
        """See the contract."""

        def cancel() -> operation_pb2.CancelOperationResponse:
            return operation_pb2.CancelOperationResponse(operation=self._operations.cancel(request.id))

        return await self._admission.run(self._workers.write, 1, deadline, cancel)

    def _timeout_s(self, request: operation_pb2.WaitOperationRequest) -> float:
        if not request.HasField("timeout"):
            return self._longest_wait_s
        timeout_s = request.timeout.seconds + request.timeout.nanos / 1e9
        if timeout_s < 0:
            raise errors.invalid_argument("DURATION_INVALID", "timeout is negative; send 0 or more", field="timeout")
        return min(timeout_s, self._longest_wait_s)
