"""Synchronous faces of asynchronous objects, without a second implementation."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from picoseek.event_loop_thread import EventLoopThread

AsyncT = TypeVar("AsyncT")
ResultT = TypeVar("ResultT")
P = ParamSpec("P")


class BlockingFace(Generic[AsyncT]):
    """An object whose methods run those of an asynchronous one on the process's own event loop and wait.

    It may be used by many threads at a time.
    """

    def __init__(self, asynchronous: AsyncT) -> None:
        """Stand before an asynchronous object."""
        self.asynchronous = asynchronous
        """What does the work."""


class blocking(Generic[AsyncT, P, ResultT]):  # noqa: N801  # used like a decorator
    """A method of a face that waits for a coroutine method; signature and documentation are the latter's."""

    def __init__(self, method: Callable[Concatenate[AsyncT, P], Coroutine[Any, Any, ResultT]]) -> None:
        """Stand before a coroutine method."""
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(
        self, face: BlockingFace[AsyncT], owner: type[BlockingFace[AsyncT]] | None = None
    ) -> Callable[P, ResultT]:
        """Return the method of one face."""
        method = self._method

        @functools.wraps(method)
        def wait(*args: P.args, **kwargs: P.kwargs) -> ResultT:
            return EventLoopThread.shared().run(method(face.asynchronous, *args, **kwargs))

        return wait


class blocking_iterator(Generic[AsyncT, P, ResultT]):  # noqa: N801  # used like a decorator
    """A method of a face that iterates over an asynchronous generator."""

    def __init__(self, method: Callable[Concatenate[AsyncT, P], AsyncIterator[ResultT]]) -> None:
        """Stand before an asynchronous generator method."""
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(
        self, face: BlockingFace[AsyncT], owner: type[BlockingFace[AsyncT]] | None = None
    ) -> Callable[P, Iterator[ResultT]]:
        """Return the method of one face."""
        method = self._method

        @functools.wraps(method)
        def iterate(*args: P.args, **kwargs: P.kwargs) -> Iterator[ResultT]:
            return EventLoopThread.shared().iterate(method(face.asynchronous, *args, **kwargs))

        return iterate
