"""`picoseek collection alias`."""

from __future__ import annotations

import asyncio

import click
from rich.table import Table

from picoseek.async_client import AsyncClient
from picoseek.cli.connection_options import connection_options
from picoseek.cli.json_option import json_option
from picoseek.cli.output import answers, print_json
from picoseek.collection import Alias
from picoseek.connection import ConnectionConfig


@click.group()
def alias() -> None:
    """Give collections second names that are moved at once for everybody."""


@alias.command("set")
@click.argument("name")
@click.argument("collection")
@click.option("--expected", default="", metavar="COLLECTION", help="Refuse unless the alias names this one now.")
@json_option
@connection_options
def set_(config: ConnectionConfig, name: str, collection: str, expected: str, as_json: bool) -> None:
    """Make alias NAME of COLLECTION, or move it there."""

    async def run() -> str:
        async with AsyncClient(config) as client:
            return await client.set_alias(name, collection, expected_collection=expected)

    previous = asyncio.run(run())
    if as_json:
        print_json({"alias": name, "collection": collection, "previous_collection": previous})
    else:
        answers().print(f"{name} is {collection}" + (f", was {previous}" if previous else ""))


@alias.command("list")
@json_option
@connection_options
def list_(config: ConnectionConfig, as_json: bool) -> None:
    """List the aliases."""

    async def run() -> list[Alias]:
        async with AsyncClient(config) as client:
            return await client.list_aliases()

    aliases = asyncio.run(run())
    if as_json:
        print_json({"aliases": [{"alias": one.name, "collection": one.collection} for one in aliases]})
        return
    table = Table("alias", "collection", box=None)
    for one in aliases:
        table.add_row(one.name, one.collection)
    answers().print(table if aliases else "there are no aliases; `picoseek collection alias set` makes one")


@alias.command()
@click.argument("name")
@json_option
@connection_options
def delete(config: ConnectionConfig, name: str, as_json: bool) -> None:
    """Remove alias NAME; its collection stays."""

    async def run() -> None:
        async with AsyncClient(config) as client:
            await client.delete_alias(name)

    asyncio.run(run())
    if as_json:
        print_json({"alias": name})
    else:
        answers().print(f"{name}: removed")
