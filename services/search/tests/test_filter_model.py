"""Random filters over random documents, beside the same conditions in Python."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picoseek_protos.v1 import collection_pb2, document_pb2, embedding_pb2
from picoseek_search.collection.catalog import Catalog
from picoseek_search.collection.options import EngineOptions
from picoseek_search.collection.search import Query
from picoseek_search.collection.workers import Workers
from picoseek_search.filtering.conditions import read_filter
from picoseek_search.storage import applied, documents
from picoseek_search.storage.applied import begin_shard
from picoseek_search.storage.documents import DocumentWriter
from picoseek_search.storage.filter_sql import sql_of

WITHIN_S = 60.0
SCHEMA = {
    "colour": collection_pb2.ATTRIBUTE_TYPE_STRING,
    "count": collection_pb2.ATTRIBUTE_TYPE_INT,
    "price": collection_pb2.ATTRIBUTE_TYPE_DOUBLE,
    "new": collection_pb2.ATTRIBUTE_TYPE_BOOL,
    "sizes": collection_pb2.ATTRIBUTE_TYPE_STRING_LIST,
}
# Few signs, so that texts often meet; among them those that mean something in a filter or in SQL.
TEXTS = st.text("aB*\\\"' ,()%_é", min_size=1, max_size=3)
NUMBERS = st.integers(-2, 2)
COMPARISONS = {
    "=": lambda mine, other: mine == other,
    "!=": lambda mine, other: mine != other,
    "<": lambda mine, other: mine < other,
    "<=": lambda mine, other: mine <= other,
    ">": lambda mine, other: mine > other,
    ">=": lambda mine, other: mine >= other,
}


@dataclass(frozen=True)
class Gadget:
    """A document as Python sees it; None and empty: it is not there."""

    id: str
    item: str
    labels: list[str]
    colour: str | None
    count: int | None
    price: float | None
    new: bool | None
    sizes: list[str] | None

    def stored(self) -> document_pb2.Document:
        """Return the document."""
        document = document_pb2.Document(id=self.id, item=self.item, labels=self.labels)
        for name, kind in (("colour", "string"), ("count", "int"), ("price", "double"), ("new", "bool")):
            if getattr(self, name) is not None:
                setattr(document.attributes[name], f"{kind}_value", getattr(self, name))
        if self.sizes is not None:
            document.attributes["sizes"].string_list.values[:] = self.sizes
        return document

    def text(self, field: str) -> str | None:
        """Return the one text of a field."""
        return (self.item or self.id) if field == "item" else getattr(self, field.removeprefix("attributes."))

    def texts(self, field: str) -> list[str]:
        """Return all texts of a field."""
        return getattr(self, field.removeprefix("attributes.")) or []


@dataclass(frozen=True)
class Rule:
    """A condition as text and as Python."""

    text: str
    holds: Callable[[Gadget], bool]


GADGETS = st.lists(
    st.builds(
        Gadget,
        id=TEXTS,
        item=st.just("") | TEXTS,
        labels=st.lists(TEXTS, max_size=2),
        colour=st.none() | TEXTS,
        count=st.none() | NUMBERS,
        price=st.none() | NUMBERS.map(lambda number: number / 2),
        new=st.none() | st.booleans(),
        sizes=st.none() | st.lists(TEXTS, max_size=2),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda gadget: gadget.id,
)


def quoted(text: str, *, prefix: bool = False) -> str:
    """Write a text as a value of a filter."""
    escaped = "".join("\\" + sign if sign in '\\*"' else sign for sign in text)
    return f'"{escaped}*"' if prefix else f'"{escaped}"'


@st.composite
def choices(draw: st.DrawFn) -> tuple[str, Callable[[str], bool]]:
    """An IN list of texts, and whether a text is in it."""
    drawn = draw(st.lists(st.tuples(TEXTS, st.booleans()), min_size=1, max_size=4))
    shown = ", ".join(quoted(text, prefix=prefix) for text, prefix in drawn)
    return f"({shown})", lambda mine: any(mine.startswith(text) if prefix else mine == text for text, prefix in drawn)


@st.composite
def rules_of_text(draw: st.DrawFn) -> Rule:
    """A comparison of a field with one text."""
    field = draw(st.sampled_from(["id", "item", "attributes.colour"]))
    match draw(st.sampled_from(["order", "prefix", "has", "in"])):
        case "order":
            operator, other = draw(st.sampled_from(sorted(COMPARISONS))), draw(TEXTS)
            test = COMPARISONS[operator]

            def ordered(gadget: Gadget) -> bool:
                mine = gadget.text(field)
                return operator == "!=" if mine is None else test(mine.encode(), other.encode())

            return Rule(f"{field} {operator} {quoted(other)}", ordered)
        case "prefix":
            other = draw(TEXTS)
            return Rule(
                f"{field} = {quoted(other, prefix=True)}", lambda gadget: (gadget.text(field) or "").startswith(other)
            )
        case "has":
            other = draw(TEXTS)
            return Rule(f"{field}:{quoted(other)}", lambda gadget: gadget.text(field) == other)
        case _:
            shown, among = draw(choices())
            return Rule(
                f"{field} IN {shown}", lambda gadget: gadget.text(field) is not None and among(gadget.text(field))
            )


@st.composite
def rules_of_texts(draw: st.DrawFn) -> Rule:
    """A comparison of a field with several texts."""
    field = draw(st.sampled_from(["labels", "attributes.sizes"]))
    if draw(st.booleans()):
        shown, among = draw(choices())
        return Rule(f"{field} IN {shown}", lambda gadget: any(among(mine) for mine in gadget.texts(field)))
    operator, other = draw(st.sampled_from(["=", ":", "!="])), draw(TEXTS)
    negative = operator == "!="
    return Rule(f"{field} {operator} {quoted(other)}", lambda gadget: (other in gadget.texts(field)) != negative)


@st.composite
def rules_of_numbers(draw: st.DrawFn) -> Rule:
    """A comparison of a number or a truth."""
    name = draw(st.sampled_from(["count", "price", "new"]))
    if name == "new":
        wanted = draw(st.booleans())
        return Rule(f"attributes.new = {str(wanted).lower()}", lambda gadget: gadget.new is wanted)
    if draw(st.booleans()):
        others = draw(st.lists(NUMBERS, min_size=1, max_size=3))
        shown = ",".join(str(other) for other in others)
        return Rule(f"attributes.{name} IN ({shown})", lambda gadget: getattr(gadget, name) in others)
    operator, other = draw(st.sampled_from(sorted(COMPARISONS))), draw(NUMBERS) / 2

    def compared(gadget: Gadget) -> bool:
        mine = getattr(gadget, name)
        return operator == "!=" if mine is None else COMPARISONS[operator](mine, other)

    return Rule(f"attributes.{name} {operator} {other}", compared)


@st.composite
def rules_of_presence(draw: st.DrawFn) -> Rule:
    """Whether there is a value."""
    name = draw(st.sampled_from(["colour", "count", "price", "new"]))
    return Rule(f"attributes.{name}:*", lambda gadget: getattr(gadget, name) is not None)


def negation(rule: Rule) -> Rule:
    """The opposite."""
    return Rule(f"NOT ({rule.text})", lambda gadget: not rule.holds(gadget))


def junction(operator: str, parts: list[Rule]) -> Rule:
    """All or any."""
    quantifier = all if operator == "AND" else any
    text = f" {operator} ".join(f"({part.text})" for part in parts)
    return Rule(text, lambda gadget: quantifier(part.holds(gadget) for part in parts))


RULES = st.recursive(
    rules_of_text() | rules_of_texts() | rules_of_numbers() | rules_of_presence(),
    lambda inner: (
        inner.map(negation)
        | st.builds(junction, st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3))
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(gadgets=GADGETS, rule=RULES)
def test_a_filter_finds_what_python_finds(gadgets: list[Gadget], rule: Rule) -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(f"{applied.SCHEMA};{documents.SCHEMA}")
    begin_shard(connection, 0)
    writer = DocumentWriter(connection, 0)
    writer.upsert([gadget.stored() for gadget in gadgets], 1)
    condition = sql_of(read_filter(rule.text, SCHEMA))
    found = connection.execute(f"SELECT id FROM documents WHERE {condition.text}", condition.parameters).fetchall()
    connection.close()
    assert {id_ for (id_,) in found} == {gadget.id for gadget in gadgets if rule.holds(gadget)}


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(gadgets=GADGETS, rule=RULES, factory=st.sampled_from(["Flat", "HNSW4"]), again=st.booleans())
def test_a_search_finds_what_python_finds(
    workers: Workers, gadgets: list[Gadget], rule: Rule, factory: str, again: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        catalog = Catalog(Path(folder), EngineOptions(growing_rows=2, graph_rows=1, idle_s=0.01), workers)
        catalog.create(
            collection_pb2.Collection(
                name="gadgets",
                space=embedding_pb2.EmbeddingSpace(digest="sha256:" + "0" * 64, dimension=2),
                metric=embedding_pb2.METRIC_L2,
                index=collection_pb2.IndexConfig(factory=factory),
                schema=[collection_pb2.AttributeField(name=name, type=type_) for name, type_ in SCHEMA.items()],
            ),
            if_not_exists=False,
        )
        try:
            collection = catalog.get("gadgets")
            query = Query(np.zeros((1, 2), np.float32), len(gadgets), exact=True, ef=16)

            def check(written: list[Gadget]) -> None:
                found = collection.search(query, rule.text, None).found.ids
                assert sorted(found) == sorted(gadget.id for gadget in written if rule.holds(gadget))

            # In two writes, so that values are read of some rows, then of more, then come along into another part.
            for number, written in enumerate((gadgets[:1], gadgets)):
                documents_ = [gadget.stored() for gadget in written]
                for document in documents_:
                    document.vector = np.ones(2, "<f4").tobytes()
                collection.submit(collection.prepare_upsert(documents_, f"r{number}")).result(WITHIN_S)
                check(written)
                if again:
                    check(written)
            assert collection.shard.compactor.wait_idle(WITHIN_S)
            check(gadgets)
        finally:
            catalog.close()
