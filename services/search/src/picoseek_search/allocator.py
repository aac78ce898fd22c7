"""How the process gives memory back."""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_ARENA_MAX = -8
_BYTES = 1 << 20


def return_freed_memory_now() -> None:
    """Have memory that was freed go back at once, wherever it lies; without effect where libc is not glibc.

    What was freed below something that lives stays with the process otherwise. Takes some milliseconds.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def return_freed_memory() -> None:
    """Have freed memory go back to the operating system, whatever the sizes; without effect where libc is not glibc.

    By itself glibc raises the size from which blocks are mappings of their own to 32 MiB as soon as such blocks are
    freed, and then keeps up to 64 MiB of them: after an index was built, as much as the vectors of a small collection.
    It also gives nearly every thread an arena, of each of which some pages stay: here there are as many as cores.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _BYTES)
        mallopt(_TRIM_THRESHOLD, _BYTES)
        mallopt(_ARENA_MAX, len(os.sched_getaffinity(0)))
