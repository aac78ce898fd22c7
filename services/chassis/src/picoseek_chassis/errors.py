"""Errors that a service answers with: canonical code, stable reason, and a message that says what to do."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

DOMAIN = "picoseek"
"""`google.rpc.ErrorInfo.domain` of every error."""

MESSAGE_BYTES = 1000
VALUE_BYTES = 200
"""Longest message and value in UTF-8. An error travels in trailers, the message twice and once with three characters a
byte; from 8 KiB on gRPC drops trailers, and the caller sees neither code nor reason."""
_ELLIPSIS = " … "


class ServiceError(Exception):
    """An answer other than OK. Handlers raise it anywhere; the server turns it into a rich status."""

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """Make an error.

        Args:
            code: canonical code.
            reason: stable UPPER_SNAKE name of the cause, at most 63 characters.
            message: what is wrong and what to do, for a developer; the middle of a long one is left out.
            metadata: the values named in the message, by name (AIP-193); a handful, long ones likewise.
            retry_after_s: seconds after which the same call makes sense again; None: it does not.
        """
        self.code = code
        self.reason = reason
        self.message = _shortened(message, MESSAGE_BYTES)
        self.metadata = {name: _shortened(value, VALUE_BYTES) for name, value in (metadata or {}).items()}
        super().__init__(self.message)
        self.retry_after_s = retry_after_s


def to_status(error: ServiceError) -> status_pb2.Status:
    """Return the error as a status with one ErrorInfo and, where a retry makes sense, a RetryInfo."""
    status = status_pb2.Status(code=error.code.value[0], message=error.message)
    _pack(status, error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(max(1, round(error.retry_after_s * 1000)))
        _pack(status, retry)
    return status


def ok_status() -> status_pb2.Status:
    """Return the status of success."""
    return status_pb2.Status(code=code_pb2.OK)


def _shortened(text: str, most: int) -> str:
    content = text.encode(errors="replace")
    if len(content) <= most:
        return text
    room = most - len(_ELLIPSIS.encode())
    head, tail = content[: room // 2], content[len(content) - room // 2 :]
    return head.decode(errors="ignore") + _ELLIPSIS + tail.decode(errors="ignore")


def _pack(status: status_pb2.Status, detail: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)


def invalid_argument(reason: str, message: str, **metadata: str) -> ServiceError:
    """The request itself is wrong, whatever the state of the service."""
    return ServiceError(grpc.StatusCode.INVALID_ARGUMENT, reason, message, metadata=metadata)


def not_found(reason: str, message: str, **metadata: str) -> ServiceError:
    """What the request names does not exist."""
    return ServiceError(grpc.StatusCode.NOT_FOUND, reason, message, metadata=metadata)


def already_exists(reason: str, message: str, **metadata: str) -> ServiceError:
    """What the request would make is there already."""
    return ServiceError(grpc.StatusCode.ALREADY_EXISTS, reason, message, metadata=metadata)


def failed_precondition(
    reason: str, message: str, *, retry_after_s: float | None = None, **metadata: str
) -> ServiceError:
    """The request is right, the state of the service is not."""
    return ServiceError(
        grpc.StatusCode.FAILED_PRECONDITION, reason, message, metadata=metadata, retry_after_s=retry_after_s
    )


def aborted(reason: str, message: str, **metadata: str) -> ServiceError:
    """Somebody else's change came in between."""
    return ServiceError(grpc.StatusCode.ABORTED, reason, message, metadata=metadata)


def resource_exhausted(reason: str, message: str, *, retry_after_s: float | None, **metadata: str) -> ServiceError:
    """A limit is reached; the delay says when to try again."""
    return ServiceError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, reason, message, metadata=metadata, retry_after_s=retry_after_s
    )


def unavailable(reason: str, message: str, *, retry_after_s: float | None, **metadata: str) -> ServiceError:
    """The service cannot answer just now; the delay says when to try again."""
    return ServiceError(grpc.StatusCode.UNAVAILABLE, reason, message, metadata=metadata, retry_after_s=retry_after_s)


def deadline_exceeded(message: str, **metadata: str) -> ServiceError:
    """The caller's time is over."""
    return ServiceError(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", message, metadata=metadata)


def data_loss(reason: str, message: str, **metadata: str) -> ServiceError:
    """Stored data is damaged."""
    return ServiceError(grpc.StatusCode.DATA_LOSS, reason, message, metadata=metadata)


def unimplemented(reason: str, message: str, **metadata: str) -> ServiceError:
    """The contract has it, this service does not."""
    return ServiceError(grpc.StatusCode.UNIMPLEMENTED, reason, message, metadata=metadata)
