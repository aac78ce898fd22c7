"""Tells bad pictures from failures of a call about several pictures."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar

from picoseek.errors import InvalidArgumentError, PicoSeekError


class PictureOutcome(Protocol):
    """What became of one picture."""

    @property
    def error(self) -> PicoSeekError | None:
        """Why it failed while others of the call did not."""
        ...


OutcomeT = TypeVar("OutcomeT", bound=PictureOutcome)


async def usable_results(call: Awaitable[Sequence[OutcomeT]], pictures: int) -> list[OutcomeT | InvalidArgumentError]:
    """Return for each picture what became of it, or what is wrong with it.

    Args:
        call: the call under way.
        pictures: how many it is about.

    Raises:
        PicoSeekError: the call failed, or a picture did for another cause than itself; nothing is said of the others.
    """
    try:
        results = await call
    except InvalidArgumentError as error:
        if pictures == 1:  # a call with a single bad picture fails as a whole
            return [error]
        raise
    answers: list[OutcomeT | InvalidArgumentError] = []
    for result in results:
        if isinstance(result.error, InvalidArgumentError):
            answers.append(result.error)
        elif result.error is not None:
            raise result.error
        else:
            answers.append(result)
    return answers
