"""Paddle Inference.

The only module that imports Paddle; it runs in engine processes alone, since Paddle keeps the GIL while it runs.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picoseek_detect_embed.engine.spec import EngineSpec


def _import_inference() -> Any:
    # Paddle advises against more than one thread of OpenMP, which concerns training only.
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            from paddle import inference
    finally:
        sys.stderr.writelines(line for line in said.getvalue().splitlines(True) if "OMP_NUM_THREADS" not in line)
    return inference


inference = _import_inference()
_TENSORRT_WORKSPACE = 1 << 30
_TENSORRT_LEAST_NODES = 3


class PaddleAdapter:
    """A Paddle predictor, for programs in the new (`.json`) and the old (`.pdmodel`) format."""

    def __init__(self, spec: EngineSpec) -> None:
        self._predictor = inference.create_predictor(_configure(spec))
        self._inputs = {name: self._predictor.get_input_handle(name) for name in self._predictor.get_input_names()}
        wanted = {tensor.name for tensor in spec.inputs}
        if wanted != set(self._inputs):
            raise ValueError(
                f"the network takes the inputs {', '.join(sorted(self._inputs))}, "
                f"its manifest names {', '.join(sorted(wanted))}"
            )
        self.output_names: list[str] = list(self._predictor.get_output_names())
        self._outputs = [self._predictor.get_output_handle(name) for name in self.output_names]

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> list[NDArray[Any]]:
        """Run one batch, see EngineAdapter.run."""
        for name, array in inputs.items():
            self._inputs[name].copy_from_cpu(array)
        self._predictor.run()
        return [np.asarray(output.copy_to_cpu()) for output in self._outputs]


def _configure(spec: EngineSpec) -> Any:
    config: Any = inference.Config(spec.program, spec.weights)
    config.disable_glog_info()
    if spec.program.endswith(".json"):
        config.enable_new_executor(True)
    config.enable_memory_optim(True)
    if spec.device == "cpu":
        config.disable_gpu()
        config.enable_mkldnn()
        # One compiled set of primitives a batch size.
        config.set_mkldnn_cache_capacity(len(spec.buckets))
        config.set_cpu_math_library_num_threads(spec.threads)
        return config
    config.enable_use_gpu(spec.gpu_memory_mb, spec.device_index)
    if spec.tensorrt:
        config.enable_tensorrt_engine(
            workspace_size=_TENSORRT_WORKSPACE,
            max_batch_size=max(spec.buckets),
            min_subgraph_size=_TENSORRT_LEAST_NODES,
            precision_mode=inference.PrecisionType.Float32,
            use_static=False,
            use_calib_mode=False,
        )
        least, most = ({tensor.name: [n, *tensor.shape] for tensor in spec.inputs} for n in (1, max(spec.buckets)))
        config.set_trt_dynamic_shape_info(least, most, most)
    return config
