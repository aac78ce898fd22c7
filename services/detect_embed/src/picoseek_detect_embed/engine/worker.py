"""Main of an engine process: load the network, warm it up, then run batches until the service is gone."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picoseek_detect_embed.engine.adapter import EngineAdapter, open_adapter
from picoseek_detect_embed.engine.arena import Arena
from picoseek_detect_embed.engine.spec import EngineSpec
from picoseek_detect_embed.engine.wire import Message, read_message_blocking

_PR_SET_PDEATHSIG = 1
# Engines give way to the process that answers calls: on full cores its health answers came two to three times later.
_NICENESS = 5


class _Runner:
    """Gathers slots into batches and runs them."""

    def __init__(self, spec: EngineSpec, adapter: EngineAdapter, arena: Arena) -> None:
        self._adapter = adapter
        self._slots = {tensor.name: arena.input(tensor.name) for tensor in spec.inputs}
        self._batches = {
            tensor.name: np.zeros((max(spec.buckets), *tensor.shape), dtype=np.float32) for tensor in spec.inputs
        }
        names = adapter.output_names
        self._outputs = [names.index(output) if isinstance(output, str) else output for output in spec.outputs]

    def warm(self, size: int) -> None:
        """Run a batch of zeros, so that the first real one of this size is as fast as the others."""
        self._run(size)

    def run(self, slots: Sequence[int]) -> list[NDArray[Any]]:
        """Return the wanted outputs for the items in these slots."""
        for name, batch in self._batches.items():
            for row, slot in enumerate(slots):
                batch[row] = self._slots[name][slot]
        return self._run(len(slots))

    def _run(self, size: int) -> list[NDArray[Any]]:
        outputs = self._adapter.run({name: batch[:size] for name, batch in self._batches.items()})
        return [np.ascontiguousarray(outputs[position]) for position in self._outputs]


def main() -> int:
    """Serve batches to the parent process over the descriptors named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True, help="descriptor of the socket to the service")
    parser.add_argument("--arena", type=int, required=True, help="descriptor of the shared memory")
    arguments = parser.parse_args()
    _end_with_parent()
    os.nice(_NICENESS)
    control = socket.socket(fileno=arguments.control)
    stream = control.makefile("rb")
    first = read_message_blocking(stream)
    if first is None:
        return 0
    spec = EngineSpec.from_json(first.header["spec"])
    try:
        started = time.monotonic()
        runner = _Runner(spec, open_adapter(spec), Arena(arguments.arena, spec.inputs, spec.slots))
        loaded = time.monotonic()
        for size in spec.buckets:
            runner.warm(size)
        warmed = time.monotonic()
        runner.warm(max(spec.buckets))
        item_s = (time.monotonic() - warmed) / max(spec.buckets)
    except Exception as error:
        control.sendall(Message({"failed": f"{type(error).__name__}: {error}"}).encode())
        return 1
    control.sendall(
        Message({"ready": {"load_s": loaded - started, "warm_s": warmed - loaded, "item_s": item_s}}).encode()
    )
    while (message := read_message_blocking(stream)) is not None:
        control.sendall(_answer(runner, message.header["slots"]).encode())
    return 0


def _answer(runner: _Runner, slots: Sequence[int]) -> Message:
    try:
        outputs = runner.run(slots)
    except Exception as error:
        return Message({"failed": f"{type(error).__name__}: {error}"})
    return Message(
        {"outputs": [{"dtype": output.dtype.str, "shape": output.shape} for output in outputs]},
        b"".join(output.tobytes() for output in outputs),
    )


def _end_with_parent() -> None:
    """The service ends engines by closing the socket; signals to the process group are its own affair.

    A busy engine reads the end of the socket only after its batch, and a hung one never: on Linux the kernel kills it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
