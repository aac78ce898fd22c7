"""Networks that OpenVINO runs on the CPU."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def openvino_core() -> Any:
    """Return the one core of this process.

    OpenVINO gives the thread that makes a core another stack for signals, and of several cores the last to go leaves
    the thread with one that was freed: the next signal, such as Ctrl-C, ends the process with a segmentation fault.
    """
    # OpenVINO takes seconds to import and is needed only by some runs.
    import openvino

    return openvino.Core()


def compile_float32(model: Any) -> Any:
    """Compile a network to be run with float32 everywhere.

    Left alone, OpenVINO takes bfloat16 where a processor has it, so that features would depend on the machine.

    Args:
        model: an OpenVINO model, or the path of a file that it reads.

    Raises:
        RuntimeError: OpenVINO cannot run it.
    """
    return openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
