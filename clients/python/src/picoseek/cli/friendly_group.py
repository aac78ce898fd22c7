"""A group of commands whose failures are one line that says what to do."""

from __future__ import annotations

import click

from picoseek.cli.output import escape_unprintable
from picoseek.errors import PicoSeekError


class FriendlyGroup(click.Group):
    """Shows errors of services and files as messages, exit status 1; tracebacks are for mistakes of this program."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that the arguments name."""
        escape_unprintable()
        try:
            return super().invoke(ctx)
        except PicoSeekError as error:
            reason = f" [{error.reason}]" if error.reason else ""
            raise click.ClickException(f"{error.message}{reason}") from error
        except BrokenPipeError:
            raise
        except OSError as error:
            raise click.ClickException(_said(error)) from error


def _said(error: OSError) -> str:
    """Return what the system or this program says of a file, without the system's number for it."""
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
