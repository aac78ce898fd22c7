"""The option --json."""

from __future__ import annotations

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, and nothing else, to standard output.")
