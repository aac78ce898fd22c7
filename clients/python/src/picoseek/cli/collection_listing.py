"""How lists show collections, damaged ones included."""

from __future__ import annotations

from collections.abc import Iterable

from picoseek.cli.output import notes
from picoseek.collection import Collection


def shown_counts(collection: Collection) -> tuple[str, str]:
    """Return documents and items for a table; of a collection that cannot be used they are not known."""
    return ("?", "?") if collection.problem else (str(collection.documents), str(collection.items))


def say_problems(collections: Iterable[Collection]) -> None:
    """Say below a list which collections cannot be used, and why."""
    for collection in collections:
        if collection.problem:
            notes().print(f"{collection.name} cannot be used: {collection.problem}")
