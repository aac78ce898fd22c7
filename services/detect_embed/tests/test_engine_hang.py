"""An engine that hangs holds nobody up beyond the deadline, and is replaced."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import waiting
from google.rpc import error_details_pb2, status_pb2
from picoseek_bundle import Task, default_bundle, load_bundle
from picoseek_chassis.health_probe import probe
from picoseek_protos.v1 import detect_embed_pb2, detect_embed_service_pb2_grpc

TIMEOUT_S = 120.0
FRAME_TIMEOUT_S = 1.0
FRAMES = 12
LOOKS_STILL = 20
"""So often in a row a sender is looked at without a new frame before it counts as held up."""
EMBEDDER = load_bundle(default_bundle(Task.EMBEDDING)).manifest.name

pytestmark = pytest.mark.slow


def _request(picture: bytes) -> detect_embed_pb2.EmbedRequest:
    request = detect_embed_pb2.EmbedRequest()
    request.pictures.add().picture.encoded = picture
    return request


def _config(max_in_flight: int = 0) -> detect_embed_pb2.StreamDetectEmbedRequest:
    message = detect_embed_pb2.StreamDetectEmbedRequest()
    message.config.options.skip_detection = True
    message.config.max_in_flight = max_in_flight
    return message


def _frame(number: int, picture: bytes, timeout_s: float) -> detect_embed_pb2.StreamDetectEmbedRequest:
    message = detect_embed_pb2.StreamDetectEmbedRequest()
    message.frame.frame_id = number
    message.frame.picture.encoded = picture
    message.frame.timeout.FromMilliseconds(round(timeout_s * 1000))
    return message


def test_deadlines_hold_while_an_engine_hangs_and_it_goes_on_when_it_wakes(start_service: Any, picture: bytes) -> None:
    service = start_service(batch_timeout_s=TIMEOUT_S)
    service.wait_until_serving()
    engine = service.engine_pids()[EMBEDDER]
    with grpc.insecure_channel(service.address) as channel:
        stub = detect_embed_service_pb2_grpc.DetectEmbedServiceStub(channel)
        os.kill(engine, signal.SIGSTOP)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Embed(_request(picture), timeout=1.0)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # type: ignore[attr-defined]
        # Frames have deadlines of their own, which only the service knows.
        frames = [_frame(number, picture, FRAME_TIMEOUT_S) for number in range(3)]
        answers = list(stub.StreamDetectEmbed(iter([_config(), *frames]), timeout=TIMEOUT_S))
        dropped = {answer.frame_dropped.frame_id: answer.frame_dropped.reason for answer in answers}
        assert dropped == dict.fromkeys(range(3), detect_embed_pb2.DROP_REASON_EXPIRED)
        assert [answer.WhichOneof("message") for answer in answers] == ["frame_dropped"] * 3
        assert probe(service.address, "", TIMEOUT_S) is None, "calls wait, and the service itself is well"
        os.kill(engine, signal.SIGCONT)
        assert stub.Embed(_request(picture), timeout=TIMEOUT_S).results[0].embedding.vector
    assert service.engine_pids()[EMBEDDER] == engine


def test_a_sender_is_held_up_while_no_frame_ends(start_service: Any, picture: bytes) -> None:
    service = start_service(batch_timeout_s=TIMEOUT_S)
    service.wait_until_serving()
    engine = service.engine_pids()[EMBEDDER]
    large = picture + b"\0" * (4 << 20)
    sent = 0

    def requests() -> Iterator[detect_embed_pb2.StreamDetectEmbedRequest]:
        nonlocal sent
        yield _config(max_in_flight=1)
        for number in range(FRAMES):
            sent += 1
            yield _frame(number, large, TIMEOUT_S)

    seen = [0]

    def stands_still() -> bool:
        seen.append(sent)
        return sent > 0 and seen[-LOOKS_STILL:] == [sent] * LOOKS_STILL

    with grpc.insecure_channel(service.address) as channel:
        stub = detect_embed_service_pb2_grpc.DetectEmbedServiceStub(channel)
        os.kill(engine, signal.SIGSTOP)
        answers = stub.StreamDetectEmbed(requests(), timeout=TIMEOUT_S)
        waiting.until(stands_still, within_s=TIMEOUT_S)
        held_at = sent
        os.kill(engine, signal.SIGCONT)
        done = [answer.frame_done for answer in answers if answer.WhichOneof("message") == "frame_done"]
    assert held_at <= 6, "one frame in work, few on their way"
    assert [(frame.frame_id, frame.status.code) for frame in done] == [(number, 0) for number in range(FRAMES)]


def test_a_hung_engine_is_replaced_and_its_batch_fails(start_service: Any, picture: bytes) -> None:
    service = start_service(batch_timeout_s=4)
    service.wait_until_serving()
    hung = service.engine_pids()[EMBEDDER]
    with grpc.insecure_channel(service.address) as channel:
        stub = detect_embed_service_pb2_grpc.DetectEmbedServiceStub(channel)
        os.kill(hung, signal.SIGSTOP)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Embed(_request(picture), timeout=TIMEOUT_S)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
        info, retry = _details(caught.value)
        assert info.reason == "ENGINE_LOST" and info.metadata["model"] == EMBEDDER
        assert retry.retry_delay.ToMilliseconds() > 0
        waiting.until(lambda: service.engine_pids()[EMBEDDER] != hung, within_s=TIMEOUT_S)
        assert not service.is_alive(hung)
        assert stub.Embed(_request(picture), timeout=TIMEOUT_S).results[0].embedding.vector


def test_a_service_with_a_hung_engine_stops_when_asked(start_service: Any) -> None:
    service = start_service()
    service.wait_until_serving()
    engine = service.engine_pids()[EMBEDDER]
    os.kill(engine, signal.SIGSTOP)
    service.process.terminate()
    assert service.process.wait(TIMEOUT_S) == 0
    assert not service.is_alive(engine)


def _details(error: Any) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo]:
    trailing = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info) and status.details[1].Unpack(retry)
    return info, retry
