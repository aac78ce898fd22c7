"""Streams of frames: answers as they finish, and a bad frame never ends the stream."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import waiting
from picoseek_protos.v1 import detect_embed_pb2

TIMEOUT_S = 120.0
_Request = detect_embed_pb2.StreamDetectEmbedRequest


def _config(**fields: Any) -> _Request:
    return _Request(config=detect_embed_pb2.StreamConfig(**fields))


def _frame(number: int, data: bytes, timeout_s: float | None = None) -> _Request:
    message = _Request()
    message.frame.frame_id = number
    message.frame.picture.encoded = data
    if timeout_s is not None:
        message.frame.timeout.FromMilliseconds(round(timeout_s * 1000))
    return message


def _by_kind(answers: list[Any]) -> dict[str, list[Any]]:
    kinds: dict[str, list[Any]] = {"object": [], "frame_done": [], "frame_dropped": []}
    for answer in answers:
        kind = answer.WhichOneof("message")
        kinds[kind].append(getattr(answer, kind))
    return kinds


def test_every_frame_is_accounted_for_and_a_bad_one_fails_alone(stub: Any, picture: bytes) -> None:
    requests = [_config(max_in_flight=4), *(_frame(n, b"bad" if n == 7 else picture) for n in range(20))]
    answers = list(stub.StreamDetectEmbed(iter(requests), timeout=TIMEOUT_S))
    kinds = _by_kind(answers)
    assert sorted(done.frame_id for done in kinds["frame_done"]) == list(range(20))
    objects = Counter(found.frame_id for found in kinds["object"])
    for done in kinds["frame_done"]:
        if done.frame_id == 7:
            assert done.status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0] and objects[7] == 0
        else:
            assert done.status.code == 0 and done.objects == objects[done.frame_id] > 0
            assert (done.width, done.height) == (320, 240)


def test_all_objects_of_a_frame_come_before_its_end(stub: Any, picture: bytes) -> None:
    requests = [_config(), *(_frame(n, picture) for n in range(10))]
    ended: set[int] = set()
    for answer in stub.StreamDetectEmbed(iter(requests), timeout=TIMEOUT_S):
        if answer.WhichOneof("message") == "object":
            assert answer.object.frame_id not in ended
        else:
            ended.add(answer.frame_done.frame_id)
    assert ended == set(range(10))


def test_answers_come_while_the_sender_is_still_sending(stub: Any, picture: bytes) -> None:
    answered = threading.Event()

    def requests() -> Iterator[_Request]:
        yield _config()
        yield _frame(0, picture)
        assert answered.wait(TIMEOUT_S), "no answer before the stream's end"
        yield _frame(1, picture)

    done = 0
    for answer in stub.StreamDetectEmbed(requests(), timeout=TIMEOUT_S):
        if answer.WhichOneof("message") == "frame_done":
            done += 1
            answered.set()
    assert done == 2


def test_latest_wins_names_each_frame_that_it_leaves_out(stub: Any, picture: bytes) -> None:
    policy = detect_embed_pb2.FRAME_POLICY_LATEST_WINS
    requests = [_config(policy=policy, max_in_flight=1), *(_frame(n, picture) for n in range(40))]
    kinds = _by_kind(list(stub.StreamDetectEmbed(iter(requests), timeout=TIMEOUT_S)))
    done = {answer.frame_id for answer in kinds["frame_done"]}
    dropped = {answer.frame_id for answer in kinds["frame_dropped"]}
    assert done | dropped == set(range(40)) and not done & dropped
    assert 39 in done, "the newest frame is never left out"
    assert {answer.reason for answer in kinds["frame_dropped"]} <= {detect_embed_pb2.DROP_REASON_SUPERSEDED}


def test_a_frame_whose_time_is_over_is_dropped_as_expired(stub: Any, picture: bytes) -> None:
    requests = [_config(max_in_flight=1), _frame(0, picture, timeout_s=0.001), _frame(1, picture)]
    kinds = _by_kind(list(stub.StreamDetectEmbed(iter(requests), timeout=TIMEOUT_S)))
    assert [(answer.frame_id, answer.reason) for answer in kinds["frame_dropped"]] == [
        (0, detect_embed_pb2.DROP_REASON_EXPIRED)
    ]
    assert [answer.frame_id for answer in kinds["frame_done"]] == [1]


@pytest.mark.parametrize(
    ("requests", "code"),
    [
        ([_frame(0, b"x")], grpc.StatusCode.INVALID_ARGUMENT),
        ([], grpc.StatusCode.INVALID_ARGUMENT),
        ([_config(), _config()], grpc.StatusCode.INVALID_ARGUMENT),
        ([_config(initial_credit=5)], grpc.StatusCode.UNIMPLEMENTED),
        ([_config(tracking=detect_embed_pb2.TrackingOptions())], grpc.StatusCode.UNIMPLEMENTED),
        ([_config(options={"detector": "nothing"})], grpc.StatusCode.NOT_FOUND),
    ],
)
def test_a_stream_that_is_wrong_as_a_whole_ends_with_its_reason(stub: Any, requests: list[Any], code: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.StreamDetectEmbed(iter(requests), timeout=TIMEOUT_S))
    assert caught.value.code() is code  # type: ignore[attr-defined]


def test_a_cancelled_stream_leaves_nothing_behind(stub: Any, picture: bytes) -> None:
    for _ in range(5):
        call = stub.StreamDetectEmbed(iter([_config(), *(_frame(n, picture) for n in range(50))]), timeout=TIMEOUT_S)
        next(call)
        call.cancel()
    request = detect_embed_pb2.DetectEmbedRequest()
    request.pictures.add().picture.encoded = picture

    def answers() -> bool:
        return bool(stub.DetectEmbed(request, timeout=TIMEOUT_S).results[0].objects)

    waiting.until(answers, within_s=TIMEOUT_S)
