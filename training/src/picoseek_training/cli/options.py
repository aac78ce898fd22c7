"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

config_option = click.option(
    "--config",
    "config_path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML recipe; relative paths in it are relative to the working directory.",
)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the recipe, such as `optimizer.rate=1e-3` or `phases.0.steps=10`; may be repeated.",
)
checkpoint_option = click.option(
    "--checkpoint",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Default: the last one of the recipe's output folder.",
)
tensorboard_option = click.option(
    "--tensorboard", is_flag=True, help="Write event files to `tensorboard` in the recipe's output folder, too."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, and nothing else, to standard output.")
