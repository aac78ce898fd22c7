"""`picoseek gallery`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
from rich.table import Table

from picoseek.async_client import AsyncClient
from picoseek.async_gallery import AsyncGallery
from picoseek.cli.collection_listing import say_problems, shown_counts
from picoseek.cli.connection_options import connection_options
from picoseek.cli.json_option import json_option
from picoseek.cli.output import answers, notes, print_json, progress_bar
from picoseek.connection import ConnectionConfig
from picoseek.gallery_import import ImportOptions, ImportProgress
from picoseek.labelled_pictures import describe, list_pictures


@click.group()
def gallery() -> None:
    """Fill, show and empty galleries of known things."""


@gallery.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--gallery", "name", required=True, help="Gallery to fill; made if it is not there.")
@click.option("--embedder", default="", help="Embedder by name (default: the gallery's).")
@click.option("--strict", is_flag=True, help="Exit with status 1 if any picture was skipped.")
@json_option
@connection_options
def import_(config: ConnectionConfig, path: Path, name: str, embedder: str, strict: bool, as_json: bool) -> None:
    """Add the pictures of PATH: a folder with a folder a class, or a CSV file `path,label`.

    What is there unchanged is passed over, so an import that was cut off goes on where it was. A picture that cannot
    be used is reported and skipped. Files of a folder that do not look like pictures are counted only.
    """
    listed = list_pictures(path)
    pictures = listed.pictures
    options = ImportOptions(embedder, timeout_s=max(config.timeout_s, ImportOptions.timeout_s))

    async def run() -> ImportProgress:
        with progress_bar() as bar:
            task = bar.add_task(f"importing into {name}", total=len(pictures))
            async with AsyncClient(config) as client:
                return await AsyncGallery(name, client).add_pictures(
                    pictures, options=options, report=lambda so_far: bar.update(task, completed=so_far.done)
                )

    result = asyncio.run(run())
    for picture_id, why in result.failed:
        notes().print(f"skipped {picture_id}: {why}", style="yellow")
    if as_json:
        print_json(
            {
                "gallery": name,
                "pictures": result.total,
                "added": result.added,
                "unchanged": result.unchanged,
                "failed": [{"id": picture_id, "error": why} for picture_id, why in result.failed],
                "passed_over": dict(listed.passed_over),
            }
        )
    else:
        answers().print(
            f"{name}: {result.added} added, {result.unchanged} unchanged, {len(result.failed)} skipped "
            f"of {result.total} pictures"
            + (f"; passed over {describe(listed.passed_over)} that are no pictures" if listed.passed_over else "")
        )
    if len(result.failed) == result.total:
        raise click.ClickException(f"no picture of {path} can be used")
    if strict and result.failed:
        sys.exit(1)


@gallery.command("list")
@click.argument("name", required=False)
@json_option
@connection_options
def list_(config: ConnectionConfig, name: str | None, as_json: bool) -> None:
    """List the galleries, or the references of gallery NAME."""
    asyncio.run(_list_references(config, name, as_json) if name else _list_galleries(config, as_json))


async def _list_galleries(config: ConnectionConfig, as_json: bool) -> None:
    async with AsyncClient(config) as client:
        collections = await client.list_collections()
    if as_json:
        print_json(
            {
                "galleries": [
                    {
                        "name": collection.name,
                        "references": collection.documents,
                        "items": collection.items,
                        "space": collection.space.digest,
                        "description": collection.description,
                        "problem": collection.problem,
                    }
                    for collection in collections
                ]
            }
        )
        return
    table = Table("gallery", "references", "items", "space", box=None)
    for collection in collections:
        space = collection.space.digest.removeprefix("sha256:")[:12]
        table.add_row(collection.name, *shown_counts(collection), space)
    answers().print(table if collections else "there are no galleries; `picoseek gallery import` makes one")
    say_problems(collections)


async def _list_references(config: ConnectionConfig, name: str, as_json: bool) -> None:
    async with AsyncClient(config) as client:
        references = [document async for document in AsyncGallery(name, client).references()]
    if as_json:
        print_json(
            {
                "gallery": name,
                "references": [
                    {"id": document.id, "item": document.item, "label": document.label} for document in references
                ],
            }
        )
        return
    table = Table("id", "item", "label", box=None)
    for document in references:
        table.add_row(document.id, document.item, document.label)
    answers().print(table)


@gallery.command()
@click.argument("name")
@click.option("--item", help="Remove the references of this item only.")
@click.option("--id", "ids", multiple=True, help="Remove this reference only; may be given several times.")
@click.option("--yes", is_flag=True, help="Do not ask before a whole gallery is removed.")
@json_option
@connection_options
def delete(
    config: ConnectionConfig, name: str, item: str | None, ids: tuple[str, ...], yes: bool, as_json: bool
) -> None:
    """Remove gallery NAME, or some of its references."""
    if item and ids:
        raise click.UsageError("give either --item or --id")
    whole = not item and not ids
    if whole and not yes and not sys.stdin.isatty():
        raise click.UsageError(f"nobody can be asked here; --yes removes gallery {name} and all its references")
    if whole and not yes:
        click.confirm(f"Remove gallery {name} and all its references?", abort=True, err=True)

    async def run() -> int:
        async with AsyncClient(config) as client:
            target = AsyncGallery(name, client)
            if item:
                return (await target.delete_item(item)).deleted
            return (await target.delete_references(ids)).deleted if ids else await target.delete()

    deleted = asyncio.run(run())
    if as_json:
        print_json({"gallery": name, "deleted": deleted})
    else:
        answers().print(f"{name}: {deleted} references removed")
    if not deleted and not whole:
        raise click.ClickException(f"gallery {name} has no such reference; `picoseek gallery list {name}` shows them")
