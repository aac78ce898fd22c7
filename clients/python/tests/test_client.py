"""The client against services in this process: deadlines, retries, write names, streams, and its synchronous face."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import picoseek
import pytest
from fake_services import BAD, OTHER_SPACE, SPACE, FakeServices, refusal
from google.rpc import status_pb2
from picoseek.deadline import Deadline
from picoseek.stranger_scores import measure_stranger_scores
from picoseek.wire.galleries import collection_from, collection_message

DOCUMENT = picoseek.Document("a", np.array([1, 0, 0, 0], dtype=np.float32), item="thing", labels=("Thing",))


async def test_a_refused_write_is_sent_again_under_the_same_name(services: FakeServices) -> None:
    services.trouble.coming.append(refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", retry_after_s=0.05))
    started = time.monotonic()
    async with picoseek.AsyncClient(services.config) as client:
        result = await client.upsert("things", [DOCUMENT], space=SPACE.digest)
    first, second = services.trouble.requests
    assert first.request_id == second.request_id == result.request_id != ""
    assert time.monotonic() - started >= 0.05


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (refusal(grpc.StatusCode.INVALID_ARGUMENT, "DOCUMENT_INVALID"), picoseek.InvalidArgumentError),
        (refusal(grpc.StatusCode.FAILED_PRECONDITION, "EMBEDDING_SPACE_MISMATCH"), picoseek.FailedPreconditionError),
        (refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA"), picoseek.ResourceExhaustedError),
        (refusal(grpc.StatusCode.INTERNAL, "INTERNAL"), picoseek.InternalError),
    ],
)
async def test_what_a_retry_cannot_cure_is_raised_at_once(
    services: FakeServices, status: status_pb2.Status, kind: type[picoseek.PicoSeekError]
) -> None:
    services.trouble.coming.append(status)
    async with picoseek.AsyncClient(services.config) as client:
        with pytest.raises(kind) as caught:
            await client.upsert("things", [DOCUMENT], space=SPACE.digest)
    assert len(services.trouble.requests) == 1
    assert caught.value.reason and caught.value.metadata == {"key": "value"}


async def test_making_a_collection_is_repeated_only_where_that_does_no_harm(services: FakeServices) -> None:
    wanted = picoseek.Collection("things", picoseek.EmbeddingSpace(SPACE.digest, 4))
    async with picoseek.AsyncClient(services.config) as client:
        services.trouble.coming.append(refusal(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"))
        with pytest.raises(picoseek.UnavailableError):
            await client.create_collection(wanted)
        services.trouble.coming.append(refusal(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"))
        assert (await client.create_collection(wanted, if_not_exists=True)).name == "things"


async def test_a_delay_beyond_the_deadline_is_not_waited_for(services: FakeServices) -> None:
    services.trouble.coming.append(refusal(grpc.StatusCode.UNAVAILABLE, "ENGINE_STARTING", retry_after_s=60))
    started = time.monotonic()
    async with picoseek.AsyncClient(services.config) as client:
        with pytest.raises(picoseek.UnavailableError) as caught:
            await client.models(timeout_s=30)
    assert time.monotonic() - started < 25 and caught.value.retry_after_s == 60


async def test_one_bad_picture_of_several_is_an_error_of_its_own(services: FakeServices) -> None:
    async with picoseek.AsyncClient(services.config) as client:
        good, bad = await client.embed([b"\x00good", picoseek.PictureInput(BAD, id="broken")])
    assert good.error is None and good.embedding is not None and good.embedding.vector.shape == (4,)
    assert isinstance(bad.error, picoseek.InvalidArgumentError) and bad.id == "broken" and bad.embedding is None


async def test_listing_fetches_page_after_page(services: FakeServices) -> None:
    documents = [picoseek.Document(name, DOCUMENT.vector, item=name) for name in "abc"]
    async with picoseek.AsyncClient(services.config) as client:
        await client.upsert("things", documents, space=SPACE.digest)
        assert [document.id async for document in client.list_documents("things")] == ["a", "b", "c"]


async def _filled(services: FakeServices, client: picoseek.AsyncClient) -> None:
    await client.create_collection(picoseek.Collection("things", picoseek.EmbeddingSpace(SPACE.digest, 4)))
    documents = [
        picoseek.Document(name, np.eye(4, dtype=np.float32)[axis], item=name, labels=(name.title(),))
        for axis, name in enumerate(["ant", "bee", "cat"])
    ]
    await client.upsert("things", documents, space=SPACE.digest)


async def test_a_recogniser_joins_both_services(services: FakeServices) -> None:
    async with picoseek.AsyncClient(services.config) as client:
        await _filled(services, client)
        recognizer = picoseek.AsyncRecognizer("things", client)
        known, stranger = await recognizer.recognize_many([b"\x01bee", b"\x03nothing"])
    assert known.best is not None and known.best.label == "Bee" and known.best.item == "bee"
    assert known.best.runner_up is not None and known.best.runner_up.score < known.threshold
    assert stranger.best is None and stranger.objects[0].label is None and stranger.objects[0].score is not None


async def test_a_derived_threshold_follows_an_alias(services: FakeServices) -> None:
    async with picoseek.AsyncClient(services.config) as client:
        await _filled(services, client)
        recognizer = picoseek.AsyncRecognizer("alias", client)
        before = (await recognizer.recognize(b"\x01bee")).threshold
        services.search.collection.name = "other"
        services.search.documents.clear()
        vectors = [[np.cos(turn), np.sin(turn), 0, 0] for turn in np.linspace(0, 1, 30)]
        documents = [
            picoseek.Document(f"x{number}", np.array(vector, np.float32), item=f"x{number}")
            for number, vector in enumerate(vectors)
        ]
        await client.upsert("alias", documents, space=SPACE.digest)
        after = (await recognizer.recognize(b"\x01bee")).threshold
        assert after > before
        assert await recognizer.threshold() == after
        services.trouble.requests.clear()
        assert (await recognizer.recognize(b"\x01bee")).threshold == after
        assert not [one for one in services.trouble.requests if "GetCollection" in type(one).__name__]
        fixed = picoseek.AsyncRecognizer("alias", client, picoseek.RecognizerConfig(threshold=0.5))
        assert (await fixed.recognize(b"\x01bee")).threshold == 0.5


async def test_the_embedder_is_the_one_that_the_gallery_was_made_with(services: FakeServices, tmp_path: Path) -> None:
    (tmp_path / "bee").mkdir()
    (tmp_path / "bee" / "1.png").write_bytes(b"\x01b")
    async with picoseek.AsyncClient(services.config) as client:
        await _filled(services, client)
        recognizer = picoseek.AsyncRecognizer("alias", client)
        assert (await recognizer.recognize(b"\x01bee")).best is not None
        services.search.collection.space.CopyFrom(OTHER_SPACE)  # as if the alias had been moved
        assert (await recognizer.recognize(b"\x01bee")).best is not None
        assert services.trouble.requests[-1].space == OTHER_SPACE.digest
        frames = [picoseek.Frame(number, b"\x01bee") for number in range(3)]
        streamed = [answer.recognition async for answer in recognizer.recognize_stream(frames)]
        assert all(recognition and recognition.best for recognition in streamed)
        assert (await picoseek.AsyncGallery("alias", client).add_pictures(tmp_path)).added == 1

        named = picoseek.RecognizerConfig(detect_embed=picoseek.DetectEmbedOptions(embedder="fake"))
        with pytest.raises(picoseek.FailedPreconditionError, match="EMBEDDING_SPACE_MISMATCH"):
            await picoseek.AsyncRecognizer("alias", client, named).recognize(b"\x01bee")
        services.search.collection.space.digest = "sha256:nobody's"
        for one in (recognizer, picoseek.AsyncRecognizer("alias", client)):
            with pytest.raises(
                picoseek.FailedPreconditionError, match="it has: fake, other; serve the bundle"
            ) as refused:
                await one.recognize(b"\x01bee")
            assert refused.value.reason == "EMBEDDING_SPACE_MISMATCH"
        with pytest.raises(picoseek.FailedPreconditionError, match="serve the bundle"):
            await picoseek.AsyncGallery("alias", client).add_pictures(tmp_path)


async def test_a_pair_that_is_mutually_nearest_is_one_sample_of_strangers(services: FakeServices) -> None:
    vectors = {"ant": [1, 0, 0, 0], "bee": [0.8, 0.6, 0, 0], "cat": [0.1, 0, 0.995, 0]}
    documents = [picoseek.Document(name, np.array(v, np.float32), item=name) for name, v in vectors.items()]
    async with picoseek.AsyncClient(services.config) as client:
        space = picoseek.EmbeddingSpace(SPACE.digest, 4)
        await client.create_collection(picoseek.Collection("things", space))
        await client.upsert("things", documents, space=SPACE.digest)
        measured = await measure_stranger_scores(client, "things", space, Deadline.after(10.0))
    np.testing.assert_allclose(np.sort(measured.scores), [0.1, 0.8], atol=1e-3)


async def test_a_recogniser_has_one_deadline_for_both_services(services: FakeServices) -> None:
    async with picoseek.AsyncClient(services.config) as client:
        await _filled(services, client)
        recognizer = picoseek.AsyncRecognizer("things", client, picoseek.RecognizerConfig(threshold=0.5))
        services.trouble.coming.append(refusal(grpc.StatusCode.UNAVAILABLE, "ENGINE_STARTING", retry_after_s=0.3))
        services.trouble.coming.append(refusal(grpc.StatusCode.UNAVAILABLE, "ENGINE_STARTING", retry_after_s=0.3))
        with pytest.raises(picoseek.UnavailableError):
            await recognizer.recognize(b"\x01bee", timeout_s=0.5)


async def test_a_stream_is_answered_in_order_and_outlives_a_bad_frame(services: FakeServices) -> None:
    pictures = [b"\x00", b"\x01", BAD, b"\x02", b"\x01"]
    async with picoseek.AsyncClient(services.config) as client:
        await _filled(services, client)
        recognizer = picoseek.AsyncRecognizer("things", client)
        frames = (picoseek.Frame(number, data) for number, data in enumerate(pictures))
        answers = [answer async for answer in recognizer.recognize_stream(frames)]
    assert [answer.frame_id for answer in answers] == [0, 1, 2, 3, 4]
    recognitions = [answer.recognition for answer in answers]
    assert [found.best.label if found and found.best else None for found in recognitions] == [
        "Ant",
        "Bee",
        None,
        "Cat",
        "Bee",
    ]
    assert recognitions[2] is not None and isinstance(recognitions[2].error, picoseek.InvalidArgumentError)


async def test_a_failing_source_of_frames_is_heard_of(services: FakeServices) -> None:
    def frames() -> Iterator[picoseek.Frame]:
        yield picoseek.Frame(0, b"\x00")
        raise RuntimeError("the camera is gone")

    async with picoseek.AsyncClient(services.config) as client:
        with pytest.raises(RuntimeError, match="camera"):
            async for _ in client.stream_detect_embed(frames()):
                pass


async def test_the_synchronous_face_does_the_same(services: FakeServices) -> None:
    def work() -> tuple[str | None, list[str], list[int]]:
        with picoseek.Client(services.config) as client:
            gallery = client.get_collection("things")
            recognizer = picoseek.Recognizer(gallery.name, client)
            best = recognizer.recognize(b"\x02cat").best
            listed = [document.id for document in client.list_documents("things")]
            frames = [picoseek.Frame(number, b"\x00") for number in range(3)]
            seen = [answer.frame_id for answer in recognizer.recognize_stream(frames)]
        return best.label if best else None, listed, seen

    async with picoseek.AsyncClient(services.config) as client:
        await _filled(services, client)
    assert await asyncio.to_thread(work) == ("Cat", ["ant", "bee", "cat"], [0, 1, 2])


def test_the_synchronous_face_has_every_method_with_its_documentation() -> None:
    for face, implementation in (
        (picoseek.Client, picoseek.AsyncClient),
        (picoseek.Recognizer, picoseek.AsyncRecognizer),
        (picoseek.Gallery, picoseek.AsyncGallery),
    ):
        for name, method in vars(implementation).items():
            if not name.startswith("_") and callable(method):
                assert vars(face)[name].__doc__ == method.__doc__


def test_a_threshold_that_is_no_number_is_refused() -> None:
    with pytest.raises(picoseek.InvalidArgumentError, match="threshold"):
        picoseek.RecognizerConfig(threshold=math.nan)


async def test_an_import_counts_bad_pictures_and_goes_on_where_it_was(services: FakeServices, tmp_path: Path) -> None:
    root = tmp_path / "things"
    for name, data in {"ant/1.png": b"\x00a", "bee/1.png": b"\x01b", "bee/bad.png": BAD, "cat/empty.png": b""}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    async with picoseek.AsyncClient(services.config) as client:
        gallery = picoseek.AsyncGallery("things", client)
        first = await gallery.add_pictures(root)
        assert (first.added, first.unchanged) == (2, 0)
        assert [name for name, _ in first.failed] == ["bee/bad.png", "cat/empty.png"]
        (root / "ant" / "1.png").write_bytes(b"\x02new")
        again = await gallery.add_pictures(root)
        assert (again.added, again.unchanged, len(again.failed)) == (1, 1, 2)
    assert sorted(services.search.documents) == ["ant/1.png", "bee/1.png"]


async def test_a_picture_that_no_message_holds_is_counted_as_bad(services: FakeServices, tmp_path: Path) -> None:
    for name, size in {"ant/1.tiff": 200_000, "bee/1.png": 10}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(bytes(size))
    async with picoseek.AsyncClient(replace(services.config, max_message_bytes=200_000)) as client:
        done = await picoseek.AsyncGallery("things", client).add_pictures(tmp_path)
    assert done.added == 1
    assert done.failed == (("ant/1.tiff", "it has 200000 bytes, more than a message may have; reduce it"),)


def test_a_collection_keeps_how_it_is_indexed_over_the_wire() -> None:
    index = picoseek.IndexConfig("IVF64,PQ32", ef=3, nprobe=5, rerank=7, ef_construction=11)
    collection = picoseek.Collection("things", picoseek.EmbeddingSpace(SPACE.digest, 64), index=index)
    assert collection_from(collection_message(collection)).index == index
