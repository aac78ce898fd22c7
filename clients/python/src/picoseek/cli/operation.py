"""`picoseek operation`."""

from __future__ import annotations

import asyncio

import click
from rich.table import Table

from picoseek.async_client import AsyncClient
from picoseek.cli.connection_options import connection_options
from picoseek.cli.json_option import json_option
from picoseek.cli.operation_output import check_succeeded, operation_json, operation_progress, wait_with_progress
from picoseek.cli.output import answers, print_json
from picoseek.connection import ConnectionConfig
from picoseek.operation import Operation


@click.group()
def operation() -> None:
    """Show, await and cancel long work of the search service."""


@operation.command("list")
@click.option("--collection", default="", help="Only those of this collection.")
@json_option
@connection_options
def list_(config: ConnectionConfig, collection: str, as_json: bool) -> None:
    """List long work, newest first."""

    async def run() -> list[Operation]:
        async with AsyncClient(config) as client:
            return await client.list_operations(collection)

    operations = asyncio.run(run())
    if as_json:
        print_json({"operations": [operation_json(one) for one in operations]})
        return
    table = Table("operation", "does", "collection", "state", "done", box=None)
    for one in operations:
        table.add_row(one.id, one.kind.value, one.collection, one.state.value, operation_progress(one))
    answers().print(table if operations else "there are no operations")


@operation.command()
@click.argument("id_", metavar="ID")
@json_option
@connection_options
def show(config: ConnectionConfig, id_: str, as_json: bool) -> None:
    """Show how operation ID stands."""

    async def run() -> Operation:
        async with AsyncClient(config) as client:
            return await client.get_operation(id_)

    _print(asyncio.run(run()), as_json)


@operation.command()
@click.argument("id_", metavar="ID")
@click.option(
    "--for",
    "longest_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Longest wait (no limit).",
)
@json_option
@connection_options
def wait(config: ConnectionConfig, id_: str, longest_s: float | None, as_json: bool) -> None:
    """Wait until operation ID has ended; exit status 0 says that it succeeded."""

    async def run() -> Operation:
        async with AsyncClient(config) as client:
            return await wait_with_progress(client, id_, longest_s)

    ended = asyncio.run(run())
    _print(ended, as_json)
    check_succeeded(ended)


@operation.command()
@click.argument("id_", metavar="ID")
@json_option
@connection_options
def cancel(config: ConnectionConfig, id_: str, as_json: bool) -> None:
    """Ask operation ID to stop; what it made is removed."""

    async def run() -> Operation:
        async with AsyncClient(config) as client:
            return await client.cancel_operation(id_)

    _print(asyncio.run(run()), as_json)


def _print(one: Operation, as_json: bool) -> None:
    if as_json:
        print_json(operation_json(one))
        return
    console = answers()
    console.print(f"{one.id}: {one.kind.value} of {one.collection}, {one.state.value}, {operation_progress(one)}")
    if one.error is not None:
        console.print(f"{one.error.message} [{one.error.reason}]")
