"""Callers that work at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


async def run_callers(count: int, caller: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run so many callers; the first error ends all of them and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(caller())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
