"""How operations are shown and waited for."""

from __future__ import annotations

import asyncio

import click
from rich.progress import Progress, TaskID

from picoseek.async_client import AsyncClient
from picoseek.cli.output import notes, progress_bar
from picoseek.operation import Operation, OperationState
from picoseek.recognition_json import JsonObject


def operation_json(operation: Operation) -> JsonObject:
    """Return an operation as JSON."""
    return {
        "id": operation.id,
        "kind": operation.kind.value,
        "collection": operation.collection,
        "state": operation.state.value,
        "done": operation.done,
        "total": operation.total,
        "unit": operation.unit,
        "error": operation.error and {"reason": operation.error.reason, "message": operation.error.message},
        "created_at": operation.created_at and operation.created_at.isoformat(),
        "ended_at": operation.ended_at and operation.ended_at.isoformat(),
        "result": operation.result,
    }


def operation_progress(operation: Operation) -> str:
    """Return how far an operation is, in words."""
    of = f" of {operation.total}" if operation.total else ""
    return f"{operation.done}{of} {operation.unit}"


async def wait_with_progress(client: AsyncClient, id_: str, timeout_s: float | None = None) -> Operation:
    """Wait for an operation, with a progress bar where there is a terminal.

    Whoever ends the wait is told that the operation goes on.

    Raises:
        PicoSeekError: there is no such operation, or it has not ended in time.
    """
    try:
        with progress_bar() as bar:
            task = bar.add_task(f"operation {id_}", total=None)
            return await client.wait_operation(id_, timeout_s=timeout_s, report=lambda now: _show(bar, task, now))
    except asyncio.CancelledError:
        say_how_to_wait(id_)
        raise


def check_succeeded(operation: Operation) -> None:
    """End the command with status 1 unless an operation has succeeded.

    Raises:
        ClickException: it failed or was cancelled.
    """
    if operation.state is OperationState.SUCCEEDED:
        return
    if operation.error is not None:
        raise click.ClickException(f"{operation.error.message} [{operation.error.reason}]")
    raise click.ClickException(f"operation {operation.id} is {operation.state.value}")


def say_how_to_wait(operation_id: str) -> None:
    """Tell where to ask about an operation that goes on."""
    notes().print(
        f"operation {operation_id} goes on; `picoseek operation wait {operation_id}` waits for it, "
        f"`picoseek operation cancel {operation_id}` ends it"
    )


def _show(bar: Progress, task: TaskID, now: Operation) -> None:
    bar.update(task, description=f"{now.kind.value} {now.collection}", completed=now.done, total=now.total or None)
