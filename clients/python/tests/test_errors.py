"""From statuses to typed errors."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from picoseek import FailedPreconditionError, PicoSeekError, ResourceExhaustedError, UnavailableError
from picoseek.error_parsing import error_of, from_rpc_error, from_status


def _status(code: grpc.StatusCode, reason: str, delay_ms: int | None = None) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message="what to do")
    details: list[error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo] = [
        error_details_pb2.ErrorInfo(reason=reason, domain="picoseek", metadata={"limit": "7"})
    ]
    if delay_ms is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(delay_ms)
        details.append(retry)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _failure(code: grpc.StatusCode, *trailing: tuple[str, bytes], details: str = "") -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details)


def test_reason_metadata_and_delay_are_read() -> None:
    error = from_status(_status(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", 250))
    assert isinstance(error, ResourceExhaustedError) and str(error) == "what to do"
    assert (error.reason, error.metadata, error.retry_after_s) == ("OVERLOADED", {"limit": "7"}, 0.25)


def test_a_failed_call_carries_its_details() -> None:
    status = _status(grpc.StatusCode.FAILED_PRECONDITION, "EMBEDDING_SPACE_MISMATCH")
    failure = _failure(grpc.StatusCode.FAILED_PRECONDITION, ("grpc-status-details-bin", status.SerializeToString()))
    error = from_rpc_error(failure, "search", "127.0.0.1:7072")
    assert isinstance(error, FailedPreconditionError) and error.reason == "EMBEDDING_SPACE_MISMATCH"


def test_an_unreachable_service_is_named_with_what_to_do() -> None:
    error = from_rpc_error(_failure(grpc.StatusCode.UNAVAILABLE, details="refused"), "search", "127.0.0.1:7072")
    assert isinstance(error, UnavailableError)
    assert "search" in str(error) and "127.0.0.1:7072" in str(error) and "picoseek serve" in str(error)


def test_of_what_a_resolver_says_the_cause_is_shown() -> None:
    said = "errors resolving foo:443: [C-ares status is not ARES_SUCCESS name=foo is_balancer=0: Domain name not found]"
    error = from_rpc_error(_failure(grpc.StatusCode.UNAVAILABLE, details=said), "search", "foo")
    assert str(error).endswith("(Domain name not found)")


def test_details_that_are_no_status_do_not_hide_the_code() -> None:
    failure = _failure(grpc.StatusCode.UNAVAILABLE, ("grpc-status-details-bin", b"\xff\xff\xff"))
    assert isinstance(from_rpc_error(failure, "search", "x:1"), UnavailableError)


def test_ok_is_no_error() -> None:
    assert error_of(status_pb2.Status()) is None


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_code_has_an_error_under_the_one_root(code: grpc.StatusCode) -> None:
    error = from_status(_status(code, "REASON"))
    assert isinstance(error, PicoSeekError) and error.code is code
