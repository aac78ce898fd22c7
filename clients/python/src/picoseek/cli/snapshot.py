"""`picoseek snapshot`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import click
from rich.filesize import decimal
from rich.table import Table

from picoseek.async_client import AsyncClient
from picoseek.cli.connection_options import connection_options
from picoseek.cli.json_option import json_option
from picoseek.cli.operation_output import check_succeeded, operation_json, say_how_to_wait, wait_with_progress
from picoseek.cli.output import answers, print_json
from picoseek.connection import ConnectionConfig
from picoseek.operation import Operation
from picoseek.recognition_json import JsonObject
from picoseek.snapshot import Snapshot

_no_wait = click.option("--no-wait", is_flag=True, help="Return when the work has begun.")


@click.group()
def snapshot() -> None:
    """Back collections up where the search service is set up to, and restore them."""


@snapshot.command()
@click.argument("collection")
@click.option("--name", default="", help="Name of the snapshot (default: made of the time and the revision).")
@_no_wait
@json_option
@connection_options
def create(config: ConnectionConfig, collection: str, name: str, no_wait: bool, as_json: bool) -> None:
    """Write a snapshot of COLLECTION, while searches and writes go on."""
    ended = _run(config, lambda client: client.create_snapshot(collection, name), no_wait, as_json)
    if ended is not None:
        answers().print(f"{collection}: snapshot {ended.result} is complete")


@snapshot.command("list")
@click.argument("collection", default="")
@json_option
@connection_options
def list_(config: ConnectionConfig, collection: str, as_json: bool) -> None:
    """List the snapshots of COLLECTION, or all, newest first."""

    async def run() -> list[Snapshot]:
        async with AsyncClient(config) as client:
            return await client.list_snapshots(collection)

    found = asyncio.run(run())
    if as_json:
        print_json({"snapshots": [_snapshot_json(one) for one in found]})
        return
    table = Table("snapshot", "collection", "made", "documents", "size", "of it new", box=None)
    for one in found:
        made = one.created_at.strftime("%Y-%m-%d %H:%M:%SZ") if one.created_at else f"unreadable: {one.damage}"
        table.add_row(
            one.name, one.collection, made, str(one.documents), decimal(one.size_bytes), decimal(one.new_bytes)
        )
    answers().print(table if found else "there are no snapshots; `picoseek snapshot create` makes one")


@snapshot.command()
@click.argument("collection")
@click.argument("name")
@json_option
@connection_options
def show(config: ConnectionConfig, collection: str, name: str, as_json: bool) -> None:
    """Show snapshot NAME of COLLECTION."""

    async def run() -> Snapshot:
        async with AsyncClient(config) as client:
            return await client.get_snapshot(collection, name)

    found = _snapshot_json(asyncio.run(run()))
    if as_json:
        print_json(found)
        return
    table = Table(show_header=False, box=None)
    for field, value in found.items():
        shown = ".".join(map(str, value.values())) if isinstance(value, dict) else value
        if shown not in ("", None):
            table.add_row(field, str(shown))
    answers().print(table)


@snapshot.command()
@click.argument("collection")
@click.argument("name")
@_no_wait
@json_option
@connection_options
def verify(config: ConnectionConfig, collection: str, name: str, no_wait: bool, as_json: bool) -> None:
    """Read all of snapshot NAME of COLLECTION and compare it with its checksums."""
    if _run(config, lambda client: client.verify_snapshot(collection, name), no_wait, as_json):
        answers().print(f"{collection}: snapshot {name} is intact")


@snapshot.command()
@click.argument("collection")
@click.argument("name")
@click.option("--as", "target", default="", metavar="COLLECTION", help="Collection to make (default: its own name).")
@click.option("--overwrite", is_flag=True, help="Put it in the place of the collection of that name.")
@_no_wait
@json_option
@connection_options
def restore(
    config: ConnectionConfig, collection: str, name: str, target: str, overwrite: bool, no_wait: bool, as_json: bool
) -> None:
    """Make a collection of snapshot NAME of COLLECTION.

    With --overwrite the old collection answers until the restored one is complete; what was written to it since the
    snapshot is gone then.
    """
    ended = _run(
        config,
        lambda client: client.restore_snapshot(collection, name, target=target, overwrite=overwrite),
        no_wait,
        as_json,
    )
    if ended is not None:
        answers().print(f"{ended.result}: restored from snapshot {name} of {collection}")


@snapshot.command()
@click.argument("collection")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask before the snapshot is removed.")
@_no_wait
@json_option
@connection_options
def delete(config: ConnectionConfig, collection: str, name: str, yes: bool, no_wait: bool, as_json: bool) -> None:
    """Remove snapshot NAME of COLLECTION, and what no other snapshot needs."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError(f"nobody can be asked here; --yes removes snapshot {name} of {collection}")
    if not yes:
        click.confirm(f"Remove snapshot {name} of {collection}?", abort=True, err=True)
    if _run(config, lambda client: client.delete_snapshot(collection, name), no_wait, as_json):
        answers().print(f"{collection}: snapshot {name} is removed")


def _run(
    config: ConnectionConfig,
    begin: Callable[[AsyncClient], Awaitable[Operation]],
    no_wait: bool,
    as_json: bool,
) -> Operation | None:
    """Begin an operation and wait for it; returns it if there is something left to say."""

    async def run() -> Operation:
        async with AsyncClient(config) as client:
            begun = await begin(client)
            return begun if no_wait else await wait_with_progress(client, begun.id)

    operation = asyncio.run(run())
    if as_json:
        print_json(operation_json(operation))
    if no_wait:
        say_how_to_wait(operation.id)
        return None
    check_succeeded(operation)
    return None if as_json else operation


def _snapshot_json(one: Snapshot) -> JsonObject:
    return {
        "name": one.name,
        "collection": one.collection,
        "location": one.location,
        "revision": {"epoch": one.revision.epoch, "sequence": one.revision.sequence},
        "documents": one.documents,
        "size_bytes": one.size_bytes,
        "new_bytes": one.new_bytes,
        "created_at": one.created_at and one.created_at.isoformat(),
        "digest": one.digest,
        "damage": one.damage,
    }
