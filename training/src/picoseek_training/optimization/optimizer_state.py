"""The state of an optimiser by the position of its parameters.

Paddle keys it by parameter names, which count all layers that the process has made: a resumed run, which makes fewer,
would not find its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import paddle
from paddle import Tensor

_OTHER = "other/"


def read_optimizer_state(optimizer: paddle.optimizer.Optimizer, parameters: Sequence[Tensor]) -> dict[str, Any]:
    """Return the state of an optimiser of these parameters, keyed by their positions."""
    state: dict[str, Any] = {}
    by_length = sorted(enumerate(parameters), key=lambda item: -len(item[1].name))
    for key, value in optimizer.state_dict().items():
        owner = next((index for index, parameter in by_length if key.startswith(parameter.name + "_")), None)
        name = _OTHER + key if owner is None else f"{owner}/{key[len(parameters[owner].name) :]}"
        state[name] = value.numpy() if isinstance(value, Tensor) else value
    return state


def write_optimizer_state(
    optimizer: paddle.optimizer.Optimizer, parameters: Sequence[Tensor], state: Mapping[str, Any]
) -> None:
    """Put a state into an optimiser of the same parameters in the same order."""
    named: dict[str, Any] = {}
    for key, value in state.items():
        if key.startswith(_OTHER):
            named[key.removeprefix(_OTHER)] = value
        else:
            index, _, rest = key.partition("/")
            named[parameters[int(index)].name + rest] = paddle.to_tensor(value)
    optimizer.set_state_dict(named)
