"""Every way to ask wrongly has its reason, and the service goes on."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from picoseek_protos.v1 import detect_embed_pb2, model_pb2

TIMEOUT_S = 60.0
Change = Callable[[detect_embed_pb2.DetectEmbedRequest, bytes], None]


def _huge_png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


def _encoded(data: bytes) -> Change:
    return lambda request, picture: setattr(request.pictures.add().picture, "encoded", data)


def _truncated(request: detect_embed_pb2.DetectEmbedRequest, picture: bytes) -> None:
    request.pictures.add().picture.encoded = picture[: len(picture) // 2]


def _raw(**fields: Any) -> Change:
    def change(request: detect_embed_pb2.DetectEmbedRequest, picture: bytes) -> None:
        raw = request.pictures.add().picture.raw
        for name, value in fields.items():
            setattr(raw, name, value)

    return change


def _region(*box: float) -> Change:
    def change(request: detect_embed_pb2.DetectEmbedRequest, picture: bytes) -> None:
        entry = request.pictures.add()
        entry.picture.encoded = picture
        region = entry.regions.add(id="spot").box
        region.x1, region.y1, region.x2, region.y2 = box

    return change


def _options(**options: Any) -> Change:
    def change(request: detect_embed_pb2.DetectEmbedRequest, picture: bytes) -> None:
        request.pictures.add().picture.encoded = picture
        request.options.MergeFrom(detect_embed_pb2.DetectEmbedOptions(**options))

    return change


def _many(request: detect_embed_pb2.DetectEmbedRequest, picture: bytes) -> None:
    for _ in range(1000):
        request.pictures.add().picture.encoded = b"x"


def _local(request: detect_embed_pb2.DetectEmbedRequest, picture: bytes) -> None:
    request.pictures.add().picture.local.segment = "mine"


CASES: dict[str, tuple[Change, str]] = {
    "no pictures": (lambda request, picture: None, "REQUEST_EMPTY"),
    "picture not set": (lambda request, picture: request.pictures.add() and None, "PICTURE_EMPTY"),
    "empty file": (_encoded(b""), "PICTURE_EMPTY"),
    "truncated file": (_truncated, "PICTURE_UNDECODABLE"),
    "no picture at all": (_encoded(b"hello, I am text"), "PICTURE_UNDECODABLE"),
    "40,000 x 40,000 px": (_encoded(_huge_png()), "PICTURE_TOO_LARGE"),
    "raw without format": (_raw(width=2, height=2, data=b"x" * 12), "RAW_LAYOUT_INVALID"),
    "raw too short": (_raw(format=1, width=2, height=2, data=b"x" * 11), "RAW_LAYOUT_INVALID"),
    "raw of size zero": (_raw(format=1, width=0, height=2, data=b"x"), "RAW_LAYOUT_INVALID"),
    "region of size zero": (_region(10, 10, 10, 50), "REGION_EMPTY"),
    "region outside": (_region(1000, 1000, 1100, 1100), "REGION_EMPTY"),
    "region turned round": (_region(50, 50, 10, 10), "REGION_EMPTY"),
    "region of NaN": (_region(float("nan"), 0, 10, 10), "REGION_EMPTY"),
    "threshold above 1": (_options(score_threshold=1.5), "OPTION_INVALID"),
    "threshold of NaN": (_options(score_threshold=float("nan")), "OPTION_INVALID"),
    "too many detections": (_options(max_detections=100_000), "OPTION_INVALID"),
    "crop too large": (_options(crop=detect_embed_pb2.CropOptions(max_side=100_000)), "OPTION_INVALID"),
    "crop quality above 100": (_options(crop=detect_embed_pb2.CropOptions(quality=101)), "OPTION_INVALID"),
    "unknown detector": (_options(detector="nothing"), "MODEL_NOT_FOUND"),
    "unknown embedder": (_options(embedder="nothing"), "MODEL_NOT_FOUND"),
    "too many pictures": (_many, "TOO_MANY_PICTURES"),
    "local handle": (_local, "LOCAL_HANDLE_UNSUPPORTED"),
}


def _reason(error: grpc.RpcError) -> str:
    trailing = dict(error.trailing_metadata())  # type: ignore[attr-defined]
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info) and info.domain == "picoseek"
    assert len(status.message) > 10
    return info.reason


@pytest.mark.parametrize("case", CASES)
def test_a_bad_request_has_its_reason(stub: Any, picture: bytes, case: str) -> None:
    change, reason = CASES[case]
    request = detect_embed_pb2.DetectEmbedRequest()
    change(request, picture)
    with pytest.raises(grpc.RpcError) as caught:
        stub.DetectEmbed(request, timeout=TIMEOUT_S)
    assert _reason(caught.value) == reason


def test_an_unknown_model_names_those_there_are(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetModel(model_pb2.GetModelRequest(name="nothing"), timeout=TIMEOUT_S)
    assert _reason(caught.value) == "MODEL_NOT_FOUND" and "picodet" in caught.value.details()  # type: ignore[attr-defined]


def test_after_all_that_the_service_answers(stub: Any, picture: bytes) -> None:
    request = detect_embed_pb2.DetectEmbedRequest()
    request.pictures.add().picture.encoded = picture
    assert stub.DetectEmbed(request, timeout=TIMEOUT_S).results[0].objects


def test_a_deadline_that_cannot_be_met_is_said_so(stub: Any, picture: bytes) -> None:
    request = detect_embed_pb2.DetectEmbedRequest()
    for _ in range(16):
        request.pictures.add().picture.encoded = picture
    # The service may notice a moment before the caller does; then each picture says so.
    late = grpc.StatusCode.DEADLINE_EXCEEDED
    try:
        codes = {result.status.code for result in stub.DetectEmbed(request, timeout=0.005).results}
    except grpc.RpcError as error:
        codes = {error.code().value[0]}  # type: ignore[attr-defined]
    assert codes == {late.value[0]}
