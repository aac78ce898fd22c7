"""The public sets as vectors: every picture embedded whole by the running service, kept in a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from picoseek import AsyncClient
from picoseek.errors import InvalidArgumentError
from picoseek.evaluation.picture_batches import in_batches
from picoseek.served_embedder import find_embedder


@dataclass(frozen=True)
class SetPicture:
    """A picture of a set."""

    path: Path
    """The file."""
    item: str
    """What it shows."""
    part: str
    """Where it comes from: a split, a shop, a vendor."""


@dataclass(frozen=True, eq=False)
class EmbeddedSet:
    """Pictures of a set as vectors."""

    vectors: NDArray[np.float32]
    """Shape (pictures, dimension)."""
    items: NDArray[np.str_]
    """Shape (pictures,)."""
    parts: NDArray[np.str_]
    """Shape (pictures,)."""


def grocery(data: Path) -> Iterator[SetPicture]:
    """Yield the photographs of the Grocery Store Dataset; parts are train, val and test."""
    for part in ("train", "val", "test"):
        with (data / "grocery" / f"{part}.txt").open(newline="") as file:
            for path, item, _ in csv.reader(file):
                yield SetPicture(data / "grocery" / path.strip(), item.strip(), part)


def emoji(data: Path) -> Iterator[SetPicture]:
    """Yield the emoji; parts are google, twitter and fluent."""
    codes = [entry["code"] for entry in json.loads((data / "emoji" / "meta.json").read_bytes())]
    for part in ("google", "twitter", "fluent"):
        paths = {path.stem: path for path in (data / "emoji" / part).iterdir()}
        for code in sorted(codes):
            yield SetPicture(paths[code], code, part)


def logos(data: Path) -> Iterator[SetPicture]:
    """Yield the crops of FlickrLogos-27; parts are gallery and query."""
    for part in ("gallery", "query"):
        for path in sorted((data / "logos" / part).glob("*/*")):
            yield SetPicture(path, path.parent.name, part)


SETS: dict[str, Callable[[Path], Iterator[SetPicture]]] = {"grocery": grocery, "emoji": emoji, "logos": logos}
"""How to list the pictures of each set, given the folder of all."""


async def embed_set(
    client: AsyncClient, name: str, data: Path, cache: Path, report: Callable[[str, int, int], None]
) -> EmbeddedSet:
    """Return a set as vectors of the service's default embedder, from the cache if they are there.

    Args:
        client: how to reach the service.
        name: one of SETS.
        data: folder of the public sets.
        cache: folder of the vectors; made if it is not there.
        report: told of the progress: set, done, total.

    Raises:
        InvalidArgumentError: a picture cannot be used.
    """
    embedder = await find_embedder(client)
    path = cache / f"{name}-{embedder.space.digest.removeprefix('sha256:')[:16]}.npz"
    pictures = list(SETS[name](data))
    if not path.exists():
        vectors: list[NDArray[np.float32]] = []
        async for result in in_batches([picture.path for picture in pictures], client.embed):
            if isinstance(result, InvalidArgumentError):
                raise result
            if result.embedding is None:
                raise InvalidArgumentError(f"{pictures[len(vectors)].path} was not embedded: {result.error}")
            vectors.append(np.asarray(result.embedding.vector, np.float32))
            report(name, len(vectors), len(pictures))
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(
            partial,
            vectors=np.stack(vectors),
            items=[picture.item for picture in pictures],
            parts=[picture.part for picture in pictures],
        )
        partial.replace(path)
    with np.load(path) as kept:
        return EmbeddedSet(kept["vectors"], kept["items"], kept["parts"])
