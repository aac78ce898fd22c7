"""The service's end of one engine process."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from picoseek_detect_embed.engine.arena import Arena
from picoseek_detect_embed.engine.child_process import ChildProcess
from picoseek_detect_embed.engine.errors import BatchError, EngineLostError, EngineStartError, ModelLoadError
from picoseek_detect_embed.engine.spec import EngineSpec
from picoseek_detect_embed.engine.wire import Message, read_message

_CLOSE_GRACE_S = 2.0


class EngineProcess:
    """A running engine process, which takes one batch at a time."""

    def __init__(
        self,
        process: ChildProcess,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._answer: asyncio.Future[Message] | None = None
        self._listener = asyncio.create_task(self._listen())
        self.lost = asyncio.Event()
        """Set when the process is gone."""
        self.item_s = 0.0
        """Seconds an item took in the largest batch when the engine was warmed."""

    @classmethod
    async def start(cls, spec: EngineSpec, arena: Arena, timeout_s: float) -> Self:
        """Start a process, load the model and run every batch size once.

        Raises:
            ModelLoadError: the model cannot be loaded, or not be run.
            EngineStartError: the process died, or took longer than `timeout_s`.
        """
        mine, theirs = socket.socketpair()
        try:
            with theirs:
                process = ChildProcess.start(
                    [
                        *(sys.executable, "-W", "ignore", "-m", "picoseek_detect_embed.engine.worker"),
                        *(f"--control={theirs.fileno()}", f"--arena={arena.descriptor}"),
                    ],
                    # Libraries print what they like; standard output belongs to the service.
                    output=sys.stderr.fileno(),
                    descriptors=(theirs.fileno(), arena.descriptor),
                    environment={**os.environ, "OMP_NUM_THREADS": str(spec.threads)},
                )
            reader, writer = await asyncio.open_connection(sock=mine)
        except BaseException:
            # A process that has started ends with the socket.
            mine.close()
            raise
        engine = cls(process, reader, writer)
        try:
            async with asyncio.timeout(timeout_s):
                ready = await engine._exchange(Message({"spec": spec.to_json()}))
        except (EngineLostError, TimeoutError) as error:
            await engine.close()
            reason = f"no answer within {timeout_s:.0f} s" if isinstance(error, TimeoutError) else str(error)
            raise EngineStartError(reason) from error
        except BaseException:
            await engine.close()
            raise
        if "ready" not in ready.header:
            await engine.close()
            # Messages of inference libraries have several lines.
            raise ModelLoadError(" ".join(str(ready.header["failed"]).split()))
        engine.item_s = float(ready.header["ready"]["item_s"])
        return engine

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def run(self, slots: Sequence[int], timeout_s: float) -> list[NDArray[Any]]:
        """Run a batch; one call at a time.

        Args:
            slots: slots of the arena whose items make the batch; their number must be one of the spec's buckets.
            timeout_s: a process that takes longer counts as hung and is killed.

        Returns:
            The outputs that the spec names.

        Raises:
            EngineLostError: the process died or hung.
            BatchError: the network refused the batch.
        """
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._exchange(Message({"slots": list(slots)}))
        except TimeoutError as error:
            self.kill()
            raise EngineLostError(f"no answer within {timeout_s:.0f} s") from error
        if "failed" in answer.header:
            raise BatchError(str(answer.header["failed"]))
        outputs: list[NDArray[Any]] = []
        offset = 0
        for output in answer.header["outputs"]:
            array: NDArray[Any] = np.frombuffer(
                answer.payload, dtype=output["dtype"], count=int(np.prod(output["shape"])), offset=offset
            ).reshape(output["shape"])
            outputs.append(array)
            offset += array.nbytes
        return outputs

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    async def close(self) -> None:
        """End the process: after its batch when it is quick about it, by force otherwise."""
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_GRACE_S):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            self._listener.cancel()
            self.lost.set()
            self._fail_pending()

    async def _exchange(self, message: Message) -> Message:
        if self.lost.is_set():
            raise EngineLostError("the engine process is gone")
        self._answer = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(message.encode())
            return await self._answer
        finally:
            self._answer = None

    async def _listen(self) -> None:
        try:
            while True:
                message = await read_message(self._reader)
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(message)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self.lost.set()
        # The socket closes a moment before the process can be waited for, and then its status is known.
        await self._process.wait()
        self._fail_pending()

    def _fail_pending(self) -> None:
        if self._answer is None or self._answer.done():
            return
        status = self._process.status
        ending = "" if status is None else f" with signal {-status}" if status < 0 else f" with status {status}"
        self._answer.set_exception(EngineLostError(f"the engine process {self.pid} ended{ending}"))
