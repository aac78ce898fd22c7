"""What the commands write: answers to standard output, everything else to standard error."""

from __future__ import annotations

import codecs
import io
import json
import sys

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from picoseek.readable_text import readable
from picoseek.recognition_json import JsonObject

_PIPE_WIDTH = 1000
_ESCAPE = "picoseek.escape"


def escape_unprintable() -> None:
    """Let signs that an output cannot encode be written as escapes: names of files may hold any bytes."""
    codecs.register_error(_ESCAPE, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPE)


def answers() -> Console:
    """Return where answers for people go."""
    # Labels are the user's, so signs in them are no markup. Tables fit a terminal, but lose nothing in a pipe.
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(markup=False, highlight=False, soft_wrap=True, width=width)


def notes() -> Console:
    """Return where progress, notes and warnings go."""
    return Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def progress_bar() -> Progress:
    """Return a progress bar on standard error; it is shown on terminals only."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=notes(),
        transient=False,
        disable=not notes().is_terminal,
    )


def print_json(value: JsonObject, *, indent: int | None = 2) -> None:
    """Write one JSON value to standard output."""
    # What stands for a byte of a file's name is a text with a backslash, which JSON escapes in turn.
    click.echo(readable(json.dumps(value, ensure_ascii=False, indent=indent), backslash=r"\\"))


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = readable(error.object[error.start : error.end])
    return signs.encode("ascii", "backslashreplace").decode("ascii"), error.end
