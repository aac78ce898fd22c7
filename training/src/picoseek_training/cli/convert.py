"""`picoseek-train convert`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from picoseek_training.cli.options import config_option, json_option, set_option


@click.command()
@config_option
@set_option
@json_option
def convert(config_path: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Make one class-agnostic COCO file of sets in their native formats.

    Knows Objects365 (versions 1 and 2), COCO 2017, iCartoonFace, LogoDet-3K and RPC. Pictures stay where they are
    unless `copy_pictures` is true.
    """
    from picoseek_training.configuration import read_configuration
    from picoseek_training.data.convert.config import ConvertConfig
    from picoseek_training.data.convert.conversion import convert as run
    from picoseek_training.progress import Progress

    config = read_configuration(ConvertConfig, config_path, overrides)
    bars = {source.name: Progress(source.name) for source in config.sources}
    counts = run(config, lambda name, done, total: bars[name](done, total))
    if as_json:
        click.echo(json.dumps({"output": str(config.output), "sources": {k: asdict(v) for k, v in counts.items()}}))
        return
    for name, each in counts.items():
        click.echo(f"{name}: " + ", ".join(f"{value} {key}" for key, value in asdict(each).items() if value))
    click.echo(config.output)
