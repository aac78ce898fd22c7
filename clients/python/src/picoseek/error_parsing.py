"""Turns gRPC statuses into this package's errors."""

from __future__ import annotations

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from picoseek import errors

_DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_CLASSES: dict[grpc.StatusCode, type[errors.PicoSeekError]] = {
    child.default_code: child for child in errors.PicoSeekError.__subclasses__()
}


def from_rpc_error(error: grpc.aio.AioRpcError, service: str, address: str) -> errors.PicoSeekError:
    """Return the typed error of a failed call.

    Args:
        error: what gRPC raised.
        service: name of the service, for the message.
        address: host:port that was called, for the message.
    """
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:  # somebody in between answered; the plain status still tells the code
                break
    return _plain(error, service, address)


def from_status(status: status_pb2.Status) -> errors.PicoSeekError:
    """Return the typed error of a status other than OK."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    delay: float | None = None
    for detail in status.details:
        detail.Unpack(info)
        if detail.Unpack(retry):
            delay = retry.retry_delay.ToMilliseconds() / 1000
    return _CLASSES.get(code, errors.PicoSeekError)(
        status.message or code.name, code=code, reason=info.reason, metadata=info.metadata, retry_after_s=delay
    )


def error_of(status: status_pb2.Status) -> errors.PicoSeekError | None:
    """Return the error of one item's status, or None when the item succeeded."""
    return None if status.code == code_pb2.OK else from_status(status)


def late(service: str, address: str) -> errors.DeadlineExceededError:
    """Return the error of a call that was not answered in time."""
    return errors.DeadlineExceededError(
        f"{service} at {address} did not answer in time; allow more time or ask for less at once"
    )


def _plain(error: grpc.aio.AioRpcError, service: str, address: str) -> errors.PicoSeekError:
    code = error.code()
    details = error.details() or code.name
    if code is grpc.StatusCode.UNAVAILABLE:
        cause = details.rpartition(": ")[2].rstrip("]")  # of a resolver's list of causes the last one
        message = f"{service} cannot be reached at {address}; is it running? `picoseek serve` starts it ({cause})"
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return late(service, address)
    else:
        message = f"{service} at {address}: {details}"
    return _CLASSES.get(code, errors.PicoSeekError)(message, code=code)
