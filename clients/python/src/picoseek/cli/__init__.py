"""The command `picoseek`."""

from __future__ import annotations

import click

from picoseek.cli.bench import bench
from picoseek.cli.collection import collection
from picoseek.cli.evaluate import evaluate
from picoseek.cli.friendly_group import FriendlyGroup
from picoseek.cli.gallery import gallery
from picoseek.cli.models import models
from picoseek.cli.operation import operation
from picoseek.cli.recognize import recognize
from picoseek.cli.serve import serve
from picoseek.cli.snapshot import snapshot
from picoseek.cli.watch import watch


@click.group(cls=FriendlyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="picoseek")
def main() -> None:
    """Recognise what is in pictures by looking it up in a gallery of known things.

    `picoseek serve` starts both services, `picoseek gallery import` fills a gallery, `picoseek recognize` asks it.
    """


for command in (serve, gallery, collection, snapshot, operation, recognize, watch, evaluate, bench, models):
    main.add_command(command)
