"""What nobody foresaw on one frame is a status of that frame, and the stream goes on."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from picoseek_detect_embed.pipeline.outcome import Candidate, CandidateSource, FoundObject, PictureOutcome, Timings
from picoseek_detect_embed.pipeline.request import EncodedPicture, PictureJob
from picoseek_detect_embed.transport.limits import CallLimits
from picoseek_detect_embed.transport.servicer import DetectEmbedServicer
from picoseek_protos.v1 import detect_embed_pb2, detect_embed_service_pb2_grpc

TIMEOUT_S = 30.0
GOOD, SURPRISING, SURPRISING_LATER = b"good", b"surprising", b"surprising after an object"
LIMITS = CallLimits(
    max_pictures=8,
    max_regions=4,
    max_detections=10,
    default_timeout_s=TIMEOUT_S,
    max_streams=4,
    stream_in_flight=2,
    max_stream_in_flight=4,
)
FOUND = FoundObject(Candidate(0, CandidateSource.WHOLE, (0, 0, 4, 3), 1.0), None, None, Timings())


class SurprisingRecognition:
    """Stands for the pipeline, with errors that it does not foresee."""

    async def admit_in_turn(self, job: PictureJob) -> Any:
        return SimpleNamespace(close=lambda: None)

    async def process(self, job: PictureJob, ticket: Any, deliver: Any) -> PictureOutcome:
        assert isinstance(job.source, EncodedPicture)
        if job.source.data == SURPRISING:
            raise ZeroDivisionError("a secret of the inside")
        await deliver(FOUND)
        if job.source.data == SURPRISING_LATER:
            raise KeyError("a secret of the inside")
        return PictureOutcome(4, 3, 1, Timings())


async def _answers(pictures: list[bytes]) -> list[Any]:
    catalogue: Any = SimpleNamespace(detector=lambda name: None, embedder=lambda name: None)
    recognition: Any = SurprisingRecognition()
    server = grpc.aio.server()
    servicer = DetectEmbedServicer(catalogue, recognition, LIMITS)
    detect_embed_service_pb2_grpc.add_DetectEmbedServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    config = detect_embed_pb2.StreamDetectEmbedRequest()
    config.config.options.skip_detection = config.config.options.skip_embedding = True
    requests = [config]
    for number, data in enumerate(pictures):
        request = detect_embed_pb2.StreamDetectEmbedRequest()
        request.frame.frame_id = number
        request.frame.picture.encoded = data
        requests.append(request)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = detect_embed_service_pb2_grpc.DetectEmbedServiceStub(channel)
            return [answer async for answer in stub.StreamDetectEmbed(iter(requests), timeout=TIMEOUT_S)]
    finally:
        await server.stop(None)


async def test_an_unforeseen_error_fails_its_frame_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answers = await _answers([GOOD, SURPRISING, GOOD, SURPRISING_LATER, GOOD])
    done = {answer.frame_done.frame_id: answer.frame_done for answer in answers if answer.HasField("frame_done")}
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert [done[frame].status.code for frame in (0, 2, 4)] == [0, 0, 0]
    for frame in (1, 3):
        status = done[frame].status
        assert status.code == grpc.StatusCode.INTERNAL.value[0]
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info) and info.reason == "INTERNAL"
        assert "secret" not in status.message
    objects = [answer.object.frame_id for answer in answers if answer.HasField("object")]
    assert sorted(objects) == [0, 2, 3, 4], "what was found before the error was sent"
    logged = [record.getMessage() for record in caplog.records if record.exc_info]
    assert [f"unforeseen error on frame {frame} of a stream" in logged for frame in (1, 3)] == [True, True]
