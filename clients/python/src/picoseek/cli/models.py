"""`picoseek models`."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from picoseek.async_client import AsyncClient
from picoseek.cli.connection_options import connection_options
from picoseek.cli.json_option import json_option
from picoseek.cli.output import answers, print_json
from picoseek.connection import ConnectionConfig
from picoseek.errors import UnavailableError
from picoseek.model import Model, ModelState
from picoseek.recognition_json import JsonObject
from picoseek.service_health import describe_health

_HEALTH_TIMEOUT_S = 5.0
_BUILDERS = {"efficientnet-lite0": "picoseek_training.general_bundle", "hash": "picoseek_training.hash"}


@click.group()
def models() -> None:
    """Show the models that are served, and build stronger ones."""


@models.command("list")
@json_option
@connection_options
def list_(config: ConnectionConfig, as_json: bool) -> None:
    """List the models; exit status 0 says that both services are ready."""
    served = asyncio.run(_ready_models(config))
    if as_json:
        print_json({"models": [_model_json(model) for model in served]})
    else:
        table = Table("model", "task", "state", "input", "dimension", "engine", "", box=None)
        for model in served:
            table.add_row(
                model.name,
                model.task.value,
                model.state.value,
                f"{model.input_width}x{model.input_height}",
                str(model.space.dimension) if model.space else "",
                model.engine,
                "default" if model.is_default else "",
            )
        answers().print(table)
    waiting = [f"{model.name} is {model.state.value}" for model in served if model.state is not ModelState.READY]
    if waiting or not served:
        raise click.ClickException(f"not ready: {', '.join(waiting) or 'detect_embed serves no model'}")


async def _ready_models(config: ConnectionConfig) -> list[Model]:
    addresses = {"detect_embed": config.detect_embed, "search": config.search}
    problems = await asyncio.gather(*(describe_health(address, _HEALTH_TIMEOUT_S) for address in addresses.values()))
    for (name, address), problem in zip(addresses.items(), problems, strict=True):
        if problem is not None:
            raise UnavailableError(f"{name} at {address} is not ready: {problem}; `picoseek serve` starts it")
    async with AsyncClient(config) as client:
        return await client.models()


@models.command()
@click.argument("name")
@json_option
@connection_options
def show(config: ConnectionConfig, name: str, as_json: bool) -> None:
    """Show what is known of model NAME."""

    async def run() -> Model:
        async with AsyncClient(config) as client:
            return await client.model(name)

    described = _model_json(asyncio.run(run()))
    if as_json:
        print_json(described)
        return
    console = answers()
    for key, value in described.items():
        if isinstance(value, dict):
            console.print(key)
            for inner, figure in value.items():
                console.print(f"  {inner:<30} {figure}")
        elif value not in ("", None, []):
            console.print(f"{key:<18} {', '.join(value) if isinstance(value, list) else value}")


def _model_json(model: Model) -> JsonObject:
    described: dict[str, Any] = dataclasses.asdict(model)
    described["task"], described["state"] = model.task.value, model.state.value
    described["labels"] = list(model.labels)
    described["accuracy"] = dict(model.accuracy)
    space = model.space
    described["space"] = space and {
        "digest": space.digest,
        "dimension": space.dimension,
        "type": space.type.value,
        "normalized": space.normalized,
        "metric": space.metric.value if space.metric else None,
    }
    return described


@models.command()
@click.argument("name", type=click.Choice(list(_BUILDERS)))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the bundle.")
@click.option(
    "--labels",
    type=click.Path(exists=True, path_type=Path),
    help="Labelled pictures, a folder a class or a CSV file, to adapt efficientnet-lite0 to.",
)
def build(name: str, out: Path, labels: Path | None) -> None:
    """Build the bundle of model NAME; `picoseek serve --bundle` serves it.

    `efficientnet-lite0` is a general embedder of public weights. `hash` is the embedder that ships with codes of 256
    bits instead of 512 numbers: a vector takes a 64th of the memory.
    """
    if labels is not None and name != "efficientnet-lite0":
        raise click.UsageError("--labels adapts efficientnet-lite0 alone; `picoseek-train hash` trains codes")
    if importlib.util.find_spec("picoseek_training") is None:
        raise click.ClickException(
            "building needs the package picoseek-training; in a checkout `make .venv/.training` installs it"
        )
    # A process of its own: training brings Paddle, which this command line does without.
    command = [sys.executable, "-m", _BUILDERS[name], "--out", str(out)]
    command += ["--labels", str(labels)] if labels else []
    status = subprocess.run(command, check=False).returncode
    if status != 0:
        raise click.ClickException(f"{name} could not be built; the lines above say why (status {status})")
