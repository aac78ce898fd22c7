"""Shared memory between the service and the engine processes of one model.

It is an unnamed file, so that nothing is left behind when processes are killed. It is cut into slots, one an item; a
slot holds every input of the network. Threads of the service write a slot in place, the engine gathers slots into a
batch.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from picoseek_detect_embed.engine.spec import InputTensor

_ALIGNMENT = 64


class Arena:
    """Memory for `slots` items of the given inputs."""

    def __init__(self, descriptor: int, inputs: Sequence[InputTensor], slots: int) -> None:
        """Map the memory behind a file descriptor, of which the arena takes ownership."""
        self.descriptor = descriptor
        self.slots = slots
        offsets: list[int] = []
        stride = 0
        for tensor in inputs:
            offsets.append(stride)
            stride += -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT
        self._size = stride * slots
        os.ftruncate(descriptor, self._size)
        self._memory = mmap.mmap(descriptor, self._size)
        whole: NDArray[np.uint8] = np.frombuffer(self._memory, dtype=np.uint8).reshape(slots, stride)
        self._inputs: dict[str, NDArray[np.float32]] = {
            tensor.name: whole[:, offset : offset + tensor.nbytes].view(np.float32).reshape(slots, *tensor.shape)
            for tensor, offset in zip(inputs, offsets, strict=True)
        }

    @classmethod
    def create(cls, inputs: Sequence[InputTensor], slots: int) -> Self:
        """Make new memory; pages are taken as they are written."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("picoseek-arena", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        return cls(descriptor, inputs, slots)

    def input(self, name: str) -> NDArray[np.float32]:
        """Return all items of one input, [slots, ...] float32, to be read and written in place."""
        return self._inputs[name]

    def close(self) -> None:
        """Give the descriptor back; the memory goes when the last array on it does."""
        self._inputs.clear()
        os.close(self.descriptor)
