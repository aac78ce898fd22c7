"""`picoseek collection`."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from typing import Any

import click
from rich.table import Table

from picoseek.async_client import AsyncClient
from picoseek.cli.alias import alias
from picoseek.cli.collection_files import export, import_
from picoseek.cli.collection_listing import say_problems, shown_counts
from picoseek.cli.connection_options import connection_options
from picoseek.cli.json_option import json_option
from picoseek.cli.operation_output import check_succeeded, say_how_to_wait, wait_with_progress
from picoseek.cli.output import answers, print_json
from picoseek.collection import AttributeField, AttributeType, Collection, CollectionUpdate, IndexConfig
from picoseek.connection import ConnectionConfig
from picoseek.embedding import EmbeddingSpace, Metric, VectorType
from picoseek.operation import Operation
from picoseek.recognition_json import JsonObject
from picoseek.served_embedder import find_embedder

_METRICS = [metric.value for metric in Metric]


@click.group()
def collection() -> None:
    """Make, show, change and remove collections, and give them aliases."""


collection.add_command(alias)
collection.add_command(export)
collection.add_command(import_)


@collection.command("list")
@json_option
@connection_options
def list_(config: ConnectionConfig, as_json: bool) -> None:
    """List the collections."""

    async def run() -> list[Collection]:
        async with AsyncClient(config) as client:
            return await client.list_collections()

    found = asyncio.run(run())
    if as_json:
        print_json({"collections": [_collection_json(one) for one in found]})
        return
    table = Table("collection", "documents", "items", "index", "space", box=None)
    for one in found:
        space = one.space.digest.removeprefix("sha256:")[:12]
        table.add_row(one.name, *shown_counts(one), one.index.factory, space)
    answers().print(table if found else "there are no collections; `picoseek gallery import` makes one")
    say_problems(found)


@collection.command()
@click.argument("name")
@json_option
@connection_options
def show(config: ConnectionConfig, name: str, as_json: bool) -> None:
    """Show collection or alias NAME."""

    async def run() -> Collection:
        async with AsyncClient(config) as client:
            return await client.get_collection(name)

    _print(asyncio.run(run()), as_json)


def _attributes(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[AttributeField, ...]:
    fields: list[AttributeField] = []
    for value in values:
        name, colon, kind = value.partition(":")
        kind, comma, rest = kind.partition(",")
        known = [type_.value for type_ in AttributeType]
        if not name or not colon or kind not in known or (comma and rest != "required"):
            raise click.BadParameter(f"{value!r} is not NAME:TYPE or NAME:TYPE,required; types: {', '.join(known)}")
        fields.append(AttributeField(name, AttributeType(kind), required=rest == "required"))
    return tuple(fields)


@collection.command()
@click.argument("name")
@click.option("--embedder", default="", help="Embedder that makes its vectors, by name (default: the service's).")
@click.option(
    "--space",
    help="Space of vectors from elsewhere, with --dimension: sha256: and 64 hex digits that stand for your model.",
)
@click.option("--dimension", type=click.IntRange(min=1), help="Components of the vectors of --space.")
@click.option("--bits", is_flag=True, help="The vectors of --space are packed bits.")
@click.option("--metric", type=click.Choice(_METRICS), help="How vectors are compared (default: that of the space).")
@click.option("--factory", default="", help="How vectors are indexed, such as HNSW32 or IVF,PQ64.")
@click.option(
    "--attribute",
    "schema",
    multiple=True,
    callback=_attributes,
    metavar="NAME:TYPE[,required]",
    help="Attribute that documents may carry; may be given several times.",
)
@click.option("--description", default="", help="For people.")
@json_option
@connection_options
def create(
    config: ConnectionConfig,
    name: str,
    embedder: str,
    space: str | None,
    dimension: int | None,
    bits: bool,
    metric: str | None,
    factory: str,
    schema: tuple[AttributeField, ...],
    description: str,
    as_json: bool,
) -> None:
    """Make collection NAME, empty."""
    if (space is None) != (dimension is None) or (bits and space is None):
        raise click.UsageError("--space and --dimension go together, and --bits with them")
    if space is not None and embedder:
        raise click.UsageError("give either --embedder or --space")

    async def run() -> Collection:
        async with AsyncClient(config) as client:
            if space is not None and dimension is not None:
                of = EmbeddingSpace(space, dimension, VectorType.BITS if bits else VectorType.FLOAT32)
            else:
                of = (await find_embedder(client, embedder)).space
            wanted = Collection(
                name,
                of,
                Metric(metric) if metric else None,
                IndexConfig(factory),
                schema,
                description,
            )
            return await client.create_collection(wanted)

    _print(asyncio.run(run()), as_json)


@collection.command()
@click.argument("name")
@click.option("--factory", help="How vectors shall be indexed; another kind is built beside.")
@click.option("--ef-construction", type=click.IntRange(min=0), help="HNSW: candidates while building.")
@click.option("--ef", type=click.IntRange(min=0), help="HNSW: candidates of searches that do not say.")
@click.option("--nprobe", type=click.IntRange(min=0), help="IVF: cells of searches that do not say.")
@click.option("--rerank", type=click.IntRange(min=0), help="SQ8, PQ: candidates a hit of searches that do not say.")
@click.option("--exact/--not-exact", default=None, help="Whether searches that do not say compare with every vector.")
@click.option(
    "--attribute",
    "schema",
    multiple=True,
    callback=_attributes,
    metavar="NAME:TYPE[,required]",
    help="The whole new schema, an attribute each; may be given several times.",
)
@click.option("--description", help="For people.")
@click.option("--etag", default="", help="Refuse unless the collection still has it.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the index is built.")
@json_option
@connection_options
def update(
    config: ConnectionConfig,
    name: str,
    factory: str | None,
    ef_construction: int | None,
    ef: int | None,
    nprobe: int | None,
    rerank: int | None,
    exact: bool | None,
    schema: tuple[AttributeField, ...],
    description: str | None,
    etag: str,
    wait: bool,
    as_json: bool,
) -> None:
    """Change settings of collection NAME; what is not given stays.

    Another index is built beside while searches and writes go on.
    """
    named: dict[str, Any] = {
        "factory": factory,
        "ef_construction": ef_construction,
        "ef": ef,
        "nprobe": nprobe,
        "rerank": rerank,
        "exact": exact,
    }
    changes = {field: value for field, value in named.items() if value is not None}
    if not changes and not schema and description is None:
        raise click.UsageError("say what to change")

    async def run() -> tuple[CollectionUpdate, Operation | None]:
        async with AsyncClient(config) as client:
            index = None
            seen = etag
            if changes:
                current = await client.get_collection(name)
                index = dataclasses.replace(current.index, **changes)
                seen = etag or current.etag
            changed = await client.update_collection(
                name, index=index, schema=schema or None, description=description, etag=seen
            )
            if not changed.operation_id or not wait:
                return changed, None
            done = await wait_with_progress(client, changed.operation_id)
            return CollectionUpdate(await client.get_collection(name), changed.operation_id), done

    changed, done = asyncio.run(run())
    if as_json:
        print_json(_collection_json(changed.collection) | {"operation": changed.operation_id})
    else:
        _print(changed.collection, as_json=False)
    if done is not None:
        check_succeeded(done)
    elif changed.operation_id:
        say_how_to_wait(changed.operation_id)


@collection.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@connection_options
def delete(config: ConnectionConfig, name: str, yes: bool, as_json: bool) -> None:
    """Remove collection NAME and all its documents."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError(f"nobody can be asked here; --yes removes collection {name} and all its documents")
    if not yes:
        click.confirm(f"Remove collection {name} and all its documents?", abort=True, err=True)

    async def run() -> tuple[int, bool]:
        async with AsyncClient(config) as client:
            is_damaged = any(one.problem for one in await client.list_collections() if one.name == name)
            return await client.delete_collection(name), is_damaged

    deleted, is_damaged = asyncio.run(run())
    if as_json:
        print_json({"collection": name, "deleted": None if is_damaged else deleted})
    elif is_damaged:
        answers().print(f"{name}: removed; it was damaged, so nobody knows how many documents it had")
    else:
        answers().print(f"{name}: removed with {deleted} documents")


def _print(one: Collection, as_json: bool) -> None:
    if as_json:
        print_json(_collection_json(one))
        return
    console = answers()
    for key, value in _collection_json(one).items():
        if isinstance(value, dict):
            value = ", ".join(
                f"{inner} {figure}" for inner, figure in value.items() if figure not in (0, "", None, False)
            )
        elif isinstance(value, list):
            value = ", ".join(f"{field['name']}:{field['type']}{',required' * field['required']}" for field in value)
        if value not in ("", None):
            console.print(f"{key:<18} {value}")


def _collection_json(one: Collection) -> JsonObject:
    return {
        "name": one.name,
        "documents": one.documents,
        "items": one.items,
        "space": {"digest": one.space.digest, "dimension": one.space.dimension, "type": one.space.type.value},
        "metric": one.metric and one.metric.value,
        "index": dataclasses.asdict(one.index),
        "schema": [
            {"name": field.name, "type": field.type.value, "required": field.required, "description": field.description}
            for field in one.schema
        ],
        "description": one.description,
        "revision": f"{one.revision.epoch}.{one.revision.sequence}",
        "index_generation": one.index_generation,
        "created_at": one.created_at and one.created_at.isoformat(),
        "updated_at": one.updated_at and one.updated_at.isoformat(),
        "etag": one.etag,
        "problem": one.problem,
    }
