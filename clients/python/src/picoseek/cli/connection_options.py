"""Options with which every command that calls services can be pointed at them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from picoseek.connection import (
    DETECT_EMBED_PORT,
    DETECT_EMBED_VARIABLE,
    SEARCH_PORT,
    SEARCH_VARIABLE,
    ConnectionConfig,
)

R = TypeVar("R")


def connection_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add --detect-embed, --search and --timeout, and pass what they say as the first argument."""

    @click.option(
        "--detect-embed",
        metavar="HOST:PORT",
        envvar=DETECT_EMBED_VARIABLE,
        default=f"127.0.0.1:{DETECT_EMBED_PORT}",
        show_default=True,
        show_envvar=True,
        help="Where detect_embed is.",
    )
    @click.option(
        "--search",
        metavar="HOST:PORT",
        envvar=SEARCH_VARIABLE,
        default=f"127.0.0.1:{SEARCH_PORT}",
        show_default=True,
        show_envvar=True,
        help="Where search is.",
    )
    @click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="Deadline of a call.",
    )
    @functools.wraps(command)
    def with_connection(*args: Any, detect_embed: str, search: str, timeout: float, **kwargs: Any) -> R:
        config = ConnectionConfig(detect_embed=detect_embed, search=search, timeout_s=timeout)
        return command(config, *args, **kwargs)

    return with_connection
