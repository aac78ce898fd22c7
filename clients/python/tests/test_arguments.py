"""Arguments that cannot be meant or sent: they are refused by name, before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import picoseek
import pytest
from fake_services import SPACE, FakeServices

Call = Callable[[picoseek.AsyncClient], Coroutine[Any, Any, object]]
VECTOR = np.array([1, 0, 0, 0], dtype=np.float32)
HALF = "ca\udce9"
"""What a file name that is not UTF-8 looks like."""


def _write(id: Any = "a", **fields: Any) -> Call:  # noqa: A002
    return lambda client: client.upsert("things", [picoseek.Document(id, VECTOR, **fields)], space=SPACE.digest)


def _attribute(value: Any) -> Call:
    return _write(attributes={"n": value})


def _crop(*edges: Any) -> Call:
    return _write(provenance=picoseek.Provenance(crop_box=picoseek.Box(*edges)))


def _search(**options: Any) -> Call:
    return lambda client: client.search(
        "things", [VECTOR], space=SPACE.digest, options=picoseek.SearchOptions(**options)
    )


def _some(value: Any) -> Any:
    """Hide from type checkers that a value is none of what is wanted."""
    return value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda client: client.delete("things", ids="abc"), "ids is the one text 'abc'; give a list of texts"),
        (lambda client: client.get("things", "abc"), "ids is the one text 'abc'"),
        (lambda client: client.get("things", ["a", 5]), "ids has an entry, number 1, that is 5; it takes a text"),
        (lambda client: client.get("things", _some(5)), "ids is 5; give a list"),
        (_write(labels="shoe"), "document 'a': labels is the one text 'shoe'; give a list"),
        (_write(labels=("shoe", None)), "document 'a': labels has an entry, number 1, that is of type NoneType"),
        (_write(5), "document 5: id is 5; it takes a text"),
        (_write(HALF), r"document 'ca\\udce9': id is 'ca\\udce9', which is no Unicode text"),
        (_write("Кружка", payload="text"), "document 'Кружка': payload is 'text'; it takes bytes"),
        (
            _attribute(2**63),
            f"document 'a': attribute 'n': int_value is {2**63}; it takes a whole number from -92233720",
        ),
        (_attribute((1,)), "document 'a': attribute 'n': values has an entry, number 0, that is 1; it takes a text"),
        (_attribute(HALF), r"attribute 'n': string_value is 'ca\\udce9', which is no Unicode text"),
        (_attribute(["x"]), "attribute 'n': it is of type list; it takes a text, .* or a tuple of texts"),
        (_write(attributes={HALF: 1}), r"document 'a': attribute 'ca\\udce9': the name is no Unicode text"),
        (_crop(0, 0, math.nan, 2), r"document 'a': crop_box is \[0, 0, nan, 2\]; it takes finite pixels"),
        (_crop(0, 5, 3, 2), r"document 'a': crop_box is \[0, 5, 3, 2\]; it takes .* y1 < y2"),
        (_crop(0, "left", 3, 2), "document 'a': y1 is 'left'; it takes a number"),
        (
            lambda client: client.upsert("things", _some(picoseek.Document("a", VECTOR)), space=SPACE.digest),
            "documents is of type Document; give a list of Document",
        ),
        (_search(k=2.5), "k is 2.5; it takes a whole number from 0 to"),
        (_search(ef=-1), "ef is -1; it takes a whole number from 0 to"),
        (_search(filter=f'id = "{HALF}"'), "filter is .*, which is no Unicode text"),
        (lambda client: anext(client.list_documents("things", page_size=-1)), "page_size is -1; it takes a whole"),
        (lambda client: client.get_collection(_some(None) or _some(7)), "name is 7; it takes a text"),
        (lambda client: client.detect_embed("pictures.jpg"), "pictures is 'pictures.jpg'; give a list of pictures"),
        (
            lambda client: picoseek.AsyncRecognizer(
                "things", client, picoseek.RecognizerConfig(threshold=0.5)
            ).recognize(_some(None)),
            "a picture is of type NoneType; give the bytes of a file, a path, or an array of pixels",
        ),
        (
            lambda client: client.create_collection(
                picoseek.Collection("new", picoseek.EmbeddingSpace(SPACE.digest, 4), _some("cosine"))
            ),
            "'cosine' is none of .*Metric.COSINE",
        ),
    ],
)
async def test_an_argument_that_cannot_be_sent_is_refused_by_name(
    services: FakeServices, call: Call, message: str
) -> None:
    async with picoseek.AsyncClient(services.config) as client:
        await client.create_collection(picoseek.Collection("things", picoseek.EmbeddingSpace(SPACE.digest, 4)))
        services.trouble.requests.clear()
        with pytest.raises(picoseek.InvalidArgumentError, match=message):
            await call(client)
    # A recogniser asks for the gallery's embedder first.
    asked = [type(request).__name__ for request in services.trouble.requests]
    assert not {*asked} - {"GetCollectionRequest", "ListModelsRequest"}


async def test_what_only_looks_odd_is_sent(services: FakeServices) -> None:
    document = picoseek.Document(
        "a",
        VECTOR,
        labels=["shoe"],  # type: ignore[arg-type]
        attributes={"n": -(2**63), "tags": ("a", ""), "yes": True, "x": math.pi},
        provenance=picoseek.Provenance(crop_box=picoseek.Box(0, 0, 0.5, 0.5)),
    )
    async with picoseek.AsyncClient(services.config) as client:
        await client.upsert("things", [document], space=SPACE.digest)
        (got,) = (await client.get("things", ("a",))).documents
    assert got.labels == ("shoe",) and got.attributes == document.attributes
    assert got.provenance is not None and got.provenance.crop_box == picoseek.Box(0, 0, 0.5, 0.5)
