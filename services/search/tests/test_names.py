"""Names of rows, packed into one block of bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from picoseek_search.collection.names import GrowingNames, PackedNames

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
