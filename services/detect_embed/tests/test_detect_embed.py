"""What unary calls answer, over real connections and real engines."""

from __future__ import annotations

from typing import Any

import cv2
import grpc
import numpy as np
import pytest
from picoseek_bundle import Task, decode_picture, default_bundle, load_bundle
from picoseek_protos.v1 import detect_embed_pb2, model_pb2, object_pb2
from scraping import metrics_address, scrape, undocumented

TIMEOUT_S = 60.0


def _vector(found: Any) -> Any:
    return np.frombuffer(found.embedding.vector, "<f4")


def _request(*pictures: bytes, **options: Any) -> detect_embed_pb2.DetectEmbedRequest:
    request = detect_embed_pb2.DetectEmbedRequest(options=detect_embed_pb2.DetectEmbedOptions(**options))
    for data in pictures:
        request.pictures.add().picture.encoded = data
    return request


def test_objects_come_in_the_order_regions_detections_whole(stub: Any, picture: bytes) -> None:
    request = _request(picture, whole_picture=detect_embed_pb2.WHOLE_PICTURE_ALWAYS, score_threshold=0.01)
    for name, box in (("disc", (40, 60, 160, 180)), ("", (200, 60, 290, 180))):
        region = request.pictures[0].regions.add(id=name)
        region.box.x1, region.box.y1, region.box.x2, region.box.y2 = box
    (result,) = stub.DetectEmbed(request, timeout=TIMEOUT_S).results
    assert (result.id, result.width, result.height) == ("0", 320, 240)
    assert [found.index for found in result.objects] == list(range(len(result.objects)))
    sources = [found.source for found in result.objects]
    order = [object_pb2.OBJECT_SOURCE_REGION, object_pb2.OBJECT_SOURCE_DETECTED, object_pb2.OBJECT_SOURCE_WHOLE]
    assert sources == sorted(sources, key=order.index)
    assert [found.region_id for found in result.objects[:2]] == ["disc", "1"]
    detected = [found for found in result.objects if found.source == object_pb2.OBJECT_SOURCE_DETECTED]
    scores = [found.detector_score for found in detected]
    assert 1 <= len(detected) <= 5 and scores == sorted(scores, reverse=True)
    for found in result.objects:
        box = found.box
        assert 0 <= box.x1 < box.x2 <= 320 and 0 <= box.y1 < box.y2 <= 240
        assert found.timings.embed_us > 0 and found.timings.total_us >= found.timings.embed_us
    assert result.timings.decode_us > 0 and result.timings.detect_us > 0


def test_vectors_have_unit_norm_and_name_their_space(stub: Any, picture: bytes) -> None:
    bundle = load_bundle(default_bundle(Task.EMBEDDING))
    request = detect_embed_pb2.EmbedRequest()
    request.pictures.add(id="a").picture.encoded = picture
    (result,) = stub.Embed(request, timeout=TIMEOUT_S).results
    assert result.id == "a" and result.embedding.space == bundle.space
    vector = _vector(result)
    assert len(vector) == result.embedding.dimension
    np.testing.assert_allclose(np.linalg.norm(vector), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_the_form_of_the_picture_or_on_its_company(stub: Any, picture: bytes) -> None:
    pixels = decode_picture(picture)
    request = detect_embed_pb2.EmbedRequest()
    request.pictures.add().picture.encoded = picture
    raw = request.pictures.add().picture.raw
    raw.format, raw.width, raw.height, raw.data = 1, 320, 240, pixels.tobytes()
    rgb = request.pictures.add().picture.raw
    rgb.format, rgb.width, rgb.height, rgb.data = 2, 320, 240, pixels[:, :, ::-1].tobytes()
    for _ in range(8):
        request.pictures.add().picture.encoded = cv2.imencode(".png", 255 - pixels)[1].tobytes()
    vectors = [_vector(result) for result in stub.Embed(request, timeout=TIMEOUT_S).results]
    alone = detect_embed_pb2.EmbedRequest()
    alone.pictures.add().picture.encoded = picture
    expected = _vector(stub.Embed(alone, timeout=TIMEOUT_S).results[0])
    for vector in vectors[:3]:
        np.testing.assert_allclose(vector, expected, atol=1e-4)
    assert float(vectors[3] @ expected) < 0.99


def test_the_whole_picture_equals_a_region_that_covers_it(stub: Any, picture: bytes) -> None:
    request = _request(picture, skip_detection=True, whole_picture=detect_embed_pb2.WHOLE_PICTURE_ALWAYS)
    box = request.pictures[0].regions.add().box
    box.x2, box.y2 = 320, 240
    (result,) = stub.DetectEmbed(request, timeout=TIMEOUT_S).results
    region, whole = result.objects
    np.testing.assert_allclose(_vector(region), _vector(whole), atol=1e-5)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (detect_embed_pb2.WHOLE_PICTURE_FALLBACK, [object_pb2.OBJECT_SOURCE_WHOLE]),
        (detect_embed_pb2.WHOLE_PICTURE_NEVER, []),
    ],
)
def test_the_whole_picture_is_a_fallback_or_nothing(
    stub: Any, picture: bytes, policy: Any, expected: list[int]
) -> None:
    (result,) = stub.DetectEmbed(
        _request(picture, score_threshold=1.0, whole_picture=policy), timeout=TIMEOUT_S
    ).results
    assert [found.source for found in result.objects] == expected


def test_crops_are_jpegs_of_the_asked_size(stub: Any, picture: bytes) -> None:
    request = _request(picture, skip_detection=True, skip_embedding=True)
    request.options.crop.max_side = 64
    box = request.pictures[0].regions.add().box
    box.x1, box.y1, box.x2, box.y2 = 200, 60, 290, 180
    (result,) = stub.DetectEmbed(request, timeout=TIMEOUT_S).results
    (found,) = result.objects
    crop = decode_picture(found.crop.jpeg)
    assert crop.shape[:2] == (found.crop.height, found.crop.width) == (64, 48)
    assert np.abs(crop[32, 24].astype(int) - [230, 190, 40]).max() < 12
    assert not found.HasField("embedding")


def test_a_bad_picture_among_good_ones_fails_alone(stub: Any, picture: bytes) -> None:
    results = stub.DetectEmbed(_request(picture, b"no picture", picture), timeout=TIMEOUT_S).results
    assert [result.status.code for result in results] == [0, grpc.StatusCode.INVALID_ARGUMENT.value[0], 0]
    assert results[0].objects and results[2].objects and not results[1].objects


def test_models_are_listed_in_pages_and_described(stub: Any) -> None:
    first = stub.ListModels(model_pb2.ListModelsRequest(page_size=1), timeout=TIMEOUT_S)
    second = stub.ListModels(
        model_pb2.ListModelsRequest(page_size=1, page_token=first.next_page_token), timeout=TIMEOUT_S
    )
    models = [*first.models, *second.models]
    assert {model.task for model in models} == {model_pb2.MODEL_TASK_DETECTION, model_pb2.MODEL_TASK_EMBEDDING}
    assert second.next_page_token == "" and all(model.state == model_pb2.MODEL_STATE_READY for model in models)
    for model in models:
        assert stub.GetModel(model_pb2.GetModelRequest(name=model.name), timeout=TIMEOUT_S).model == model


def test_prometheus_hears_of_models_and_calls(service: Any, stub: Any, picture: bytes) -> None:
    address = metrics_address(service.log)
    name = load_bundle(default_bundle(Task.EMBEDDING)).manifest.name
    prefix = "picoseek_detect_embed"
    before = scrape(address)
    request = detect_embed_pb2.EmbedRequest()
    for _ in range(5):
        request.pictures.add().picture.encoded = picture
    stub.Embed(request, timeout=TIMEOUT_S)
    after = scrape(address)
    assert after[f"{prefix}_batch_items_sum", name] - before[f"{prefix}_batch_items_sum", name] >= 5
    assert after[f"{prefix}_batch_items_count", name] > before[f"{prefix}_batch_items_count", name]
    assert after[f"{prefix}_batch_items_bucket", "16.0", name] == after[f"{prefix}_batch_items_count", name]
    assert after[f"{prefix}_engine_seconds_total", name] > before[f"{prefix}_engine_seconds_total", name]
    assert after[f"{prefix}_engines_ready", name] == after[f"{prefix}_engines", name] == 1
    assert after[f"{prefix}_queue_items", name] < 5
    assert after[f"{prefix}_pictures_in_flight",] < after[f"{prefix}_pictures_limit",] == 256
    assert not undocumented(after)
    call = ("picoseek_grpc_calls_total", "OK", "picoseek.v1.DetectEmbedService/Embed")
    assert after[call] - before.get(call, 0) == 1
