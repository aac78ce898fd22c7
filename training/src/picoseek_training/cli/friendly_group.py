"""A group of commands whose failures are one line that says what to do."""

from __future__ import annotations

import os
import warnings

import click

from picoseek_training.cli.termination import TerminatedError

_INTERRUPTED, _TERMINATED = 130, 143


class FriendlyGroup(click.Group):
    """Shows errors of files, recipes and runs as messages, exit status 1; tracebacks are for our own mistakes."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that the arguments name."""
        # Paddle speaks while it is imported, and of nothing that a user could change.
        os.environ.setdefault("GLOG_minloglevel", "2")
        for message in ("No ccache found", "When training, we now always track"):
            warnings.filterwarnings("ignore", message=message)
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (OSError, ValueError, FloatingPointError) as error:
            raise click.ClickException(_said(error)) from error
        except KeyboardInterrupt as stop:
            click.echo("interrupted; a training goes on from its last checkpoint with the same command", err=True)
            ctx.exit(_TERMINATED if isinstance(stop, TerminatedError) else _INTERRUPTED)


def _said(error: Exception) -> str:
    """Return what went wrong, without the system's number for it."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)
