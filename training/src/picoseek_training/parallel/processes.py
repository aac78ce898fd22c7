"""The processes that `python -m paddle.distributed.launch` started: NCCL joins them on GPUs, Gloo on CPUs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import paddle
from paddle import Tensor, distributed, nn
from paddle.autograd import PyLayer


@dataclass(frozen=True)
class Processes:
    """All processes of a run, seen from one of them; one alone needs no other and exchanges nothing."""

    rank: int = 0
    """This process, from 0."""
    count: int = 1

    @property
    def primary(self) -> bool:
        """Whether this is the one that writes checkpoints and the log, and evaluates."""
        return self.rank == 0

    def part(self, size: int) -> slice:
        """Return this process's rows of a batch of `size` for each process."""
        return slice(self.rank * size, (self.rank + 1) * size)

    def gathered(self, rows: Tensor) -> Tensor:
        """Return the rows [n, ...] of all processes, [count * n, ...]; the gradient flows back to each one's own.

        What every process then computes of all rows has, after `average_gradients`, the gradient of one process with
        the whole batch. Rows without a gradient, such as labels, are gathered as they are.
        """
        if self.count == 1:
            return rows
        return rows_of_all(rows) if rows.stop_gradient else _Gathered.apply(rows, self)

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace every parameter's gradient by the mean over the processes; one that got none counts as zero."""
        if self.count == 1:
            return
        flat = paddle.concat(
            [
                (paddle.zeros_like(parameter) if parameter.grad is None else parameter.grad).flatten()
                for parameter in parameters
            ]
        )
        distributed.all_reduce(flat)
        flat = flat / self.count
        sizes = [parameter.size for parameter in parameters]
        for parameter, part in zip(parameters, paddle.split(flat, sizes), strict=True):
            if parameter.grad is None:
                parameter.grad = part.reshape(parameter.shape)
            else:
                parameter.grad.set_value(part.reshape(parameter.shape))

    def mean(self, value: float) -> float:
        """Return the mean of a number over the processes."""
        if self.count == 1:
            return value
        total = paddle.to_tensor([value], dtype="float64")
        distributed.all_reduce(total)
        return float(total.numpy()[0]) / self.count

    def same_start(self, layers: Sequence[nn.Layer]) -> None:
        """Give all processes the weights and statistics of the first."""
        if self.count == 1:
            return
        for layer in layers:
            for tensor in layer.state_dict().values():
                distributed.broadcast(tensor, src=0)

    @contextmanager
    def primary_first(self) -> Iterator[None]:
        """Let the primary process do the block's work, such as filling a cache, before the others find it done."""
        if self.count > 1 and not self.primary:
            self.wait()
        yield
        if self.count > 1 and self.primary:
            self.wait()

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.count > 1:
            distributed.barrier()


ONE_PROCESS = Processes()


def launched_processes() -> Processes:
    """Return the processes of this run and join them, if `paddle.distributed.launch` started several."""
    count = int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))
    if count == 1:
        return ONE_PROCESS
    if not distributed.is_initialized():
        if not paddle.device.is_compiled_with_cuda():
            paddle.device.set_device("cpu")
        distributed.init_parallel_env()
    return Processes(distributed.get_rank(), count)


def rows_of_all(rows: Tensor) -> Tensor:
    """Return the rows [n, ...] of all processes in their order, without gradient."""
    parts: list[Tensor] = []
    distributed.all_gather(parts, rows.detach().contiguous())
    return paddle.concat(parts)


class _Gathered(PyLayer):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, processes: Processes) -> Tensor:
        ctx.own = processes.part(len(rows))
        return rows_of_all(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        total = gradient.clone()
        distributed.all_reduce(total)
        return total[ctx.own]
