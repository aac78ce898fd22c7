"""SearchService without a search: every answer is the same, so that what is left is what gRPC and the messages cost.

python echo_server.py PORT HITS
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import numpy as np
from picoseek_protos.v1 import search_pb2, search_service_pb2_grpc


class Echo(search_service_pb2_grpc.SearchServiceServicer):
    """Answers what a search of one query with so many hits would."""

    def __init__(self, hits: int) -> None:
        names = [f"document-{number}" for number in range(hits)]
        self._answer = search_pb2.SearchResponse(
            ids=names, items=names, scores=np.zeros(hits, "<f4").tobytes(), offsets=[0, hits]
        )

    async def Search(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer a search."""
        return self._answer

    async def StreamSearch(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answer the searches of a stream."""
        async for request in request_iterator:
            yield search_pb2.StreamSearchResponse(call_id=request.call_id, response=self._answer)


async def serve(port: int, hits: int) -> None:
    """Serve until the process is ended."""
    server = grpc.aio.server()
    search_service_pb2_grpc.add_SearchServiceServicer_to_server(Echo(hits), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
