"""A killed engine costs its own batch and nothing else."""

from __future__ import annotations

import os
import signal
from typing import Any

import grpc
import pytest
import waiting
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from picoseek_chassis.health_probe import probe
from picoseek_protos.v1 import detect_embed_pb2, detect_embed_service_pb2_grpc

TIMEOUT_S = 120.0

pytestmark = pytest.mark.slow


def test_a_killed_engine_is_replaced_and_only_its_batch_fails(own_service: Any, picture: bytes) -> None:
    request = detect_embed_pb2.DetectEmbedRequest()
    for _ in range(16):
        request.pictures.add().picture.encoded = picture
    with grpc.insecure_channel(own_service.address) as channel:
        stub = detect_embed_service_pb2_grpc.DetectEmbedServiceStub(channel)
        detector = next(name for name in own_service.engine_pids() if name.startswith("picodet"))
        victim = own_service.engine_pids()[detector]
        calls = [stub.DetectEmbed.future(request, timeout=TIMEOUT_S) for _ in range(4)]
        waiting.until(lambda: any(call.done() for call in calls), within_s=TIMEOUT_S)
        os.kill(victim, signal.SIGKILL)
        statuses = [result.status for call in calls for result in call.result().results]
        lost = [status for status in statuses if status.code]
        assert len(lost) <= 16, "a batch has at most 16 pictures"
        for status in lost:
            assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            assert status.details[0].Unpack(info) and info.reason == "ENGINE_LOST"
            assert status.details[1].Unpack(retry) and retry.retry_delay.ToMilliseconds() > 0
        waiting.until(lambda: own_service.engine_pids()[detector] != victim, within_s=TIMEOUT_S)
        own_service.wait_until_serving()
        assert all(result.status.code == 0 for result in stub.DetectEmbed(request, timeout=TIMEOUT_S).results)


def test_health_of_a_model_follows_its_engine(own_service: Any) -> None:
    (embedder,) = [name for name in own_service.engine_pids() if not name.startswith("picodet")]
    seen: list[int] = []
    with grpc.insecure_channel(own_service.address) as channel:
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        for answer in watch(health_pb2.HealthCheckRequest(service=embedder), timeout=TIMEOUT_S):
            seen.append(answer.status)
            if len(seen) == 1:
                os.kill(own_service.engine_pids()[embedder], signal.SIGKILL)
            if len(seen) == 3:
                break
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    assert seen == [serving, not_serving, serving]


def test_engines_end_with_a_killed_service(own_service: Any) -> None:
    engines = list(own_service.engine_pids().values())
    assert len(engines) == 2 and all(map(own_service.is_alive, engines))
    own_service.process.kill()
    waiting.until(lambda: not any(map(own_service.is_alive, engines)), within_s=30)


def test_a_stopped_service_ends_its_engines_and_says_so(own_service: Any) -> None:
    engines = list(own_service.engine_pids().values())
    own_service.process.terminate()
    assert own_service.process.wait(60) == 0
    assert not any(map(own_service.is_alive, engines))
    assert probe(own_service.address, "", 1.0) is not None
