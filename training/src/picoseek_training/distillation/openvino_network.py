"""Networks that OpenVINO runs on the CPU."""

from __future__ import annotations

from typing import Any


def compile_float32(model: Any) -> Any:
    """Compile a network to be run with float32 everywhere.

    Left alone, OpenVINO takes bfloat16 where a processor has it, so that features would depend on the machine.

    Args:
        model: an OpenVINO model, or the path of a file that it reads.

    Raises:
        RuntimeError: OpenVINO cannot run it.
    """
    # OpenVINO takes seconds to import and is needed only by some runs.
    import openvino

    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
