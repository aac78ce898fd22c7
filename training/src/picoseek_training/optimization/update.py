"""One step of an optimiser: gradients of all processes, in full or in mixed precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import paddle
from paddle import Tensor

from picoseek_training.parallel.processes import Processes

Precision = Literal["float32", "bfloat16", "float16"]
"""Of activations; weights and losses stay in float32."""


class Update:
    """Applies the gradient of a loss to parameters.

    Args:
        precision: float16 scales the loss, so that small gradients survive, and leaves out steps that overflow.
        processes: Those of the run.

    Raises:
        ValueError: Mixed precision is asked for where no GPU is.
    """

    def __init__(self, precision: Precision, processes: Processes) -> None:
        if precision != "float32" and not _has_gpu():
            raise ValueError(
                f"precision: {precision} needs a GPU and Paddle's CUDA build; on a CPU only float32 is computed"
            )
        self._precision = precision
        self._processes = processes
        self._scaler = paddle.amp.GradScaler(enable=True) if precision == "float16" else None

    def mixed_precision(self) -> AbstractContextManager[Any]:
        """Return the context in which a forward pass is made."""
        if self._precision == "float32":
            return nullcontext()
        context: AbstractContextManager[Any] = paddle.amp.auto_cast(dtype=self._precision, level="O1")
        return context

    def __call__(
        self,
        loss: Tensor,
        optimizer: paddle.optimizer.Optimizer,
        parameters: Sequence[Tensor],
        rate: float,
        where: Callable[[], str],
    ) -> float:
        """Make a step and return the loss.

        Args:
            loss: Scalar.
            optimizer: Of the parameters.
            parameters: Those that learn.
            rate: Learning rate.
            where: Names the step and its batch, for the error.

        Raises:
            FloatingPointError: The loss or a gradient is not finite; no weight has changed.
        """
        value = float(loss.numpy())
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} at {where()}; lower the learning rate")
        optimizer.set_lr(rate)
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()
        self._processes.average_gradients(parameters)
        if self._scaler is None:
            if not _finite_gradients(parameters):
                optimizer.clear_grad()
                raise FloatingPointError(f"a gradient is not finite at {where()}; lower the learning rate")
            optimizer.step()
        else:
            self._scaler.step(optimizer)
            self._scaler.update()
        optimizer.clear_grad()
        return value

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to go on exactly."""
        if self._scaler is None:
            return {}
        return {
            key: value.numpy() if isinstance(value, Tensor) else value
            for key, value in self._scaler.state_dict().items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        if self._scaler is not None and state:
            scaler: Any = self._scaler
            scaler.load_state_dict(state)


def _has_gpu() -> bool:
    return bool(paddle.device.is_compiled_with_cuda()) and paddle.device.cuda.device_count() > 0


def _finite_gradients(parameters: Sequence[Tensor]) -> bool:
    sums = [parameter.grad.sum() for parameter in parameters if parameter.grad is not None]
    return not sums or math.isfinite(float(paddle.add_n(sums).numpy()))
