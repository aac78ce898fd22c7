"""The command `picoseek-train`."""

from __future__ import annotations

import click

from picoseek_training.cli.check_data import check_data
from picoseek_training.cli.convert import convert
from picoseek_training.cli.detector import detector
from picoseek_training.cli.distill import distill
from picoseek_training.cli.embedder import embedder
from picoseek_training.cli.evaluate import evaluate
from picoseek_training.cli.export import export
from picoseek_training.cli.friendly_group import FriendlyGroup
from picoseek_training.cli.hash import hash_codes
from picoseek_training.cli.import_weights import import_weights


@click.group(cls=FriendlyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="picoseek-training")
def main() -> None:
    """Train a detector and an embedder of your own, and make bundles of them.

    `check-data` looks at your pictures, `detector`, `embedder` and `hash` train, `distill` with a teacher, `eval`
    measures, `export` writes what `picoseek serve --bundle` serves, `import` takes over official weights.
    """


for command in (check_data, convert, detector, distill, embedder, evaluate, export, hash_codes, import_weights):
    main.add_command(command)
