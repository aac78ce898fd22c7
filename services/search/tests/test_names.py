"""Names of rows, packed into one block of bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from picoseek_search.collection.names import GrowingNames, PackedNames
from picoseek_search.collection.part import GrowingPart
from picoseek_search.segment.metric import Metric
from picoseek_search.storage.documents import StoredRow

_NAMES = st.lists(st.text(max_size=6), max_size=40)
_ALL_UNICODE = ["", "a", "é", "道", "\U0001f600", "x" * 300, "\0"]


def _growing(names: list[str]) -> GrowingNames:
    growing = GrowingNames(len(names) + 3)
    growing.write(0, names)
    return growing


@given(names=_NAMES, data=st.data())
def test_packed_names_come_back_by_row_in_any_order(names: list[str], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.sampled_from(range(len(names))), max_size=60) if names else st.just([]))
    wanted = [names[row] for row in rows]
    for column in (PackedNames.of(names), _growing(names)):
        assert column.take(np.array(rows, np.int64)) == wanted
        lengths, encoded = column.encoded(np.array(rows, np.int64))
        assert encoded == "".join(wanted).encode()
        assert lengths.tolist() == [len(name.encode()) for name in wanted]


@given(sources=st.lists(st.tuples(_NAMES, st.booleans()), max_size=4), data=st.data())
def test_rows_of_several_parts_are_packed_without_the_names_of_dead_ones(
    sources: list[tuple[list[str], bool]], data: st.DataObject
) -> None:
    expected: list[str] = []
    given_rows = []
    for names, is_growing in sources:
        rows = data.draw(st.lists(st.sampled_from(range(len(names))), max_size=60) if names else st.just([]))
        named = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
        column = _growing(names) if is_growing else PackedNames.of(names)
        given_rows.append((column, np.array(rows, np.int64), np.array(named, np.bool_)))
        expected += [names[row] if is_named else "" for row, is_named in zip(rows, named, strict=True)]
    packed = PackedNames.of_rows(given_rows)
    assert packed.take(np.arange(len(expected))) == expected
    assert packed == PackedNames.of(expected)


def test_more_names_than_one_block_are_packed_in_order() -> None:
    names = [f"{_ALL_UNICODE[number % len(_ALL_UNICODE)]}{number}" for number in range(10_000)]
    packed = PackedNames.of(names)
    every = np.arange(len(names))
    assert packed.take(every) == names
    named = np.ones(5000, np.bool_)
    again = PackedNames.of_rows([(packed, every[:5000], named), (_growing(names), every[5000:], named)])
    assert again == packed
    assert again != PackedNames.of([*names[:-1], "other"])
    # The same bytes, cut elsewhere.
    assert PackedNames.of(["ab", "c"]) != PackedNames.of(["a", "bc"])


def test_items_have_a_column_of_their_own_from_the_first_that_is_no_id() -> None:
    part = GrowingPart(1, 2, 8, Metric.L2)

    def append(*names: tuple[str, str]) -> None:
        stored = [StoredRow(1, id_, item, b"", 0) for id_, item in names]
        part.append(stored, np.zeros((len(stored), 2), np.float32))

    append(("a", "a"), ("b", "b"))
    before = part.items
    assert before is part.ids
    append(("c", "thing"), ("d", "d"))
    append(("e", "e"), ("f", "thing"))
    assert part.ids.take(np.arange(6)) == ["a", "b", "c", "d", "e", "f"]
    assert part.items.take(np.arange(6)) == ["a", "b", "thing", "d", "e", "thing"]
    assert before.take(np.arange(2)) == ["a", "b"]
