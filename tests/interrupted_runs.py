"""Training runs that are broken off, and what they leave against what whole runs leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def break_off(run: Any, after: int) -> None:
    """Let a training run, and break it off after so many steps, as Ctrl-C does."""
    step, done = run._train_step, 0

    def stop(*arguments: Any) -> Any:
        nonlocal done
        if done == after:
            raise KeyboardInterrupt
        done += 1
        return step(*arguments)

    run._train_step = stop
    with pytest.raises(KeyboardInterrupt):
        run.run()


def assert_same_content(left: object, right: object, way: str = "") -> None:
    """Compare what two checkpoints hold, arrays bit for bit; `way` leads there, for the message."""
    if isinstance(left, dict):
        assert isinstance(right, dict) and left.keys() == right.keys(), way
        for key in left:
            assert_same_content(left[key], right[key], f"{way}/{key}")
    elif isinstance(left, list):
        assert isinstance(right, list) and len(left) == len(right), way
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            assert_same_content(one, other, f"{way}/{index}")
    elif isinstance(left, np.ndarray):
        np.testing.assert_array_equal(left, right, err_msg=way)
    else:
        assert left == right, way
