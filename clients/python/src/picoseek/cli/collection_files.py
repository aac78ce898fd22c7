"""`picoseek collection export` and `picoseek collection import`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from picoseek.async_client import AsyncClient
from picoseek.async_collection_transfer import AsyncCollectionTransfer, Report, TransferProgress
from picoseek.cli.connection_options import connection_options
from picoseek.cli.json_option import json_option
from picoseek.cli.output import answers, notes, print_json, progress_bar
from picoseek.connection import ConnectionConfig


@click.command()
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--filter", "filter_", default="", help="Only documents that meet this condition.")
@json_option
@connection_options
def export(config: ConnectionConfig, name: str, path: Path, filter_: str, as_json: bool) -> None:
    """Write the documents of collection NAME to PATH.

    A PATH that ends with .parquet becomes a Parquet file with everything that a document has; any other one a folder
    with vectors.npy, ids.txt, items.txt and labels.jsonl.
    """
    done = _run(
        config,
        f"exporting {name}",
        lambda client, report: AsyncCollectionTransfer(name, client).export(path, filter=filter_, report=report),
    )
    if as_json:
        print_json({"collection": name, "path": str(path), "documents": done.done})
    else:
        answers().print(f"{path}: {done.done} documents of {name}")


@click.command("import")
@click.argument("name")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--space", default="", metavar="DIGEST", help="Embedding space of the vectors, if the file does not say it."
)
@click.option("--again", is_flag=True, help="Write what an earlier import of the same rows has written, too.")
@json_option
@connection_options
def import_(config: ConnectionConfig, name: str, path: Path, space: str, again: bool, as_json: bool) -> None:
    """Write the documents of PATH, a Parquet file or a folder with NPY, to collection NAME.

    Each row takes the place of the whole document of its id: a file without items or labels leaves it without them. An
    import that was cut off goes on where it was: rows that it has written are not written again.
    """
    done = _run(
        config,
        f"importing into {name}",
        lambda client, report: AsyncCollectionTransfer(name, client).import_(
            path, space=space, again=again, report=report
        ),
    )
    if as_json:
        print_json({"collection": name, "path": str(path), "documents": done.done, "unchanged": done.unchanged})
        return
    answers().print(f"{name}: {done.done - done.unchanged} documents written, {done.unchanged} unchanged")
    if done.unchanged:
        notes().print("unchanged: an earlier import has written these rows; --again writes them all the same")


def _run(
    config: ConnectionConfig, what: str, transfer: Callable[[AsyncClient, Report], Awaitable[TransferProgress]]
) -> TransferProgress:
    async def run() -> TransferProgress:
        with progress_bar() as bar:
            task = bar.add_task(what, total=None)
            async with AsyncClient(config) as client:
                return await transfer(client, lambda now: bar.update(task, completed=now.done, total=now.total))

    return asyncio.run(run())
