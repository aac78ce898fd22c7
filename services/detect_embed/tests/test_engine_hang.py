"""An engine that hangs holds nobody up beyond the deadline, and is replaced."""

from __future__ import annotations

import os
import signal
from typing import Any

import grpc
import pytest
import waiting
from google.rpc import error_details_pb2, status_pb2
from picoseek_bundle import Task, default_bundle, load_bundle
from picoseek_chassis.health_probe import probe
from picoseek_protos.v1 import detect_embed_pb2, detect_embed_service_pb2_grpc

TIMEOUT_S = 120.0
FRAME_TIMEOUT_MS = 1000
EMBEDDER = load_bundle(default_bundle(Task.EMBEDDING)).manifest.name

pytestmark = pytest.mark.slow


def _request(picture: bytes) -> detect_embed_pb2.EmbedRequest:
    request = detect_embed_pb2.EmbedRequest()
    request.pictures.add().picture.encoded = picture
    return request


def _frames(picture: bytes) -> list[detect_embed_pb2.StreamDetectEmbedRequest]:
    config = detect_embed_pb2.StreamDetectEmbedRequest()
    config.config.options.skip_detection = True
    frames = [detect_embed_pb2.StreamDetectEmbedRequest() for _ in range(3)]
    for number, message in enumerate(frames):
        message.frame.frame_id = number
        message.frame.picture.encoded = picture
        message.frame.timeout.FromMilliseconds(FRAME_TIMEOUT_MS)
    return [config, *frames]


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
        answers = list(stub.StreamDetectEmbed(iter(_frames(picture)), timeout=TIMEOUT_S))
        dropped = {answer.frame_dropped.frame_id: answer.frame_dropped.reason for answer in answers}
        assert dropped == dict.fromkeys(range(3), detect_embed_pb2.DROP_REASON_EXPIRED)
        assert [answer.WhichOneof("message") for answer in answers] == ["frame_dropped"] * 3
        assert probe(service.address, "", TIMEOUT_S) is None, "calls wait, and the service itself is well"
        os.kill(engine, signal.SIGCONT)
        assert stub.Embed(_request(picture), timeout=TIMEOUT_S).results[0].embedding.vector
    assert service.engine_pids()[EMBEDDER] == engine


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
