"""`picoseek-train check-data`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from picoseek_training.cli.options import json_option, set_option


@click.command("check-data")
@click.argument("sources", nargs=-1)
@click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file with `splits`, instead of naming them.",
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that the files' paths are relative to (default: the file's own, or `images` beside it).",
)
@set_option
@json_option
@click.pass_context
def check_data(
    context: click.Context,
    sources: tuple[str, ...],
    config_path: Path | None,
    images: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Look for what would spoil a training, in one split or several such as training and test.

    A SOURCE is a COCO file (`.json`), a PaddleClas label file or CSV file, or a folder with a folder a class; or an own
    set as recipes name it, `folder:PATH`, `labels:FILE` or `labels:FILE@FOLDER`. Reports
    missing and broken pictures, boxes outside and without area, equal and all but equal pictures within and between
    splits, the balance of classes and tiny pictures. The exit status is 1 if there is an error, 0 if there are
    warnings at most.
    """
    from picoseek_training.configuration import read_configuration
    from picoseek_training.data.check.checking import check_data as run
    from picoseek_training.data.check.config import CheckConfig
    from picoseek_training.data.own_sets import file_of
    from picoseek_training.progress import Progress

    if bool(sources) == (config_path is not None):
        raise click.UsageError("name the sources, or give --config with `splits`")
    named: list[dict[str, str | None]] = []
    for source in sources:
        file, folder = file_of(source)
        folder = folder or images
        named.append({"name": source, "source": str(file), "images": None if folder is None else str(folder)})
    splits = [f"splits={json.dumps(named)}"] if named else []
    report = run(read_configuration(CheckConfig, config_path, [*splits, *overrides]), Progress("checking pictures"))
    if as_json:
        click.echo(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        for line in report.lines():
            click.echo(line)
    if report.has_errors:
        context.exit(1)
