"""What goes wrong: one root, one child a canonical code, and the reason that the service states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import grpc


class PicoSeekError(Exception):
    """Something that was asked for did not happen. `str()` of it says what is wrong and what to do."""

    default_code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """Make an error; `code` is that of the class if none is given."""
        super().__init__(message)
        self.message = message
        """What is wrong and what to do, for a developer."""
        self.code = code or self.default_code
        """Canonical gRPC code."""
        self.reason = reason
        """Stable UPPER_SNAKE name of the cause; empty: the answer did not come from PicoSeek itself."""
        self.metadata = dict(metadata or {})
        """The values named in the message, by name."""
        self.retry_after_s = retry_after_s
        """Seconds after which the same call makes sense again; None: the service did not say."""


class InvalidArgumentError(PicoSeekError):
    """The request itself is wrong: a picture that cannot be decoded, a vector of the wrong length, a bad option."""

    default_code = grpc.StatusCode.INVALID_ARGUMENT


class NotFoundError(PicoSeekError):
    """What the request names does not exist."""

    default_code = grpc.StatusCode.NOT_FOUND


class AlreadyExistsError(PicoSeekError):
    """What the request would make is there already."""

    default_code = grpc.StatusCode.ALREADY_EXISTS


class FailedPreconditionError(PicoSeekError):
    """The request is right, the state of the service is not: another embedding space, a revision not reached."""

    default_code = grpc.StatusCode.FAILED_PRECONDITION


class AbortedError(PicoSeekError):
    """Somebody else's change came in between."""

    default_code = grpc.StatusCode.ABORTED


class ResourceExhaustedError(PicoSeekError):
    """A limit is reached: the service is overloaded, its disk is full, or a message is too long."""

    default_code = grpc.StatusCode.RESOURCE_EXHAUSTED


class UnavailableError(PicoSeekError):
    """The service cannot be reached or cannot answer just now."""

    default_code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceededError(PicoSeekError):
    """The time for the call is over; a write may or may not have happened."""

    default_code = grpc.StatusCode.DEADLINE_EXCEEDED


class UnimplementedError(PicoSeekError):
    """The service does not know the call; it may be older than this client."""

    default_code = grpc.StatusCode.UNIMPLEMENTED


class DataLossError(PicoSeekError):
    """Stored data is damaged."""

    default_code = grpc.StatusCode.DATA_LOSS


class InternalError(PicoSeekError):
    """The service failed; its log has the cause."""

    default_code = grpc.StatusCode.INTERNAL
