"""An exported embedder on the CPU, run as the service runs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paddle import inference

_CACHED_SHAPES = 8


class ExportedEmbedder:
    """Paddle inference files with one input and one output."""

    def __init__(self, program: Path, weights: Path) -> None:
        config: Any = inference.Config(str(program), str(weights))
        config.disable_glog_info()
        config.enable_new_executor(True)
        config.enable_memory_optim(True)
        config.disable_gpu()
        config.enable_mkldnn()
        config.set_mkldnn_cache_capacity(_CACHED_SHAPES)
        config.set_cpu_math_library_num_threads(_threads())
        self._predictor = inference.create_predictor(config)
        self._input = self._predictor.get_input_handle(self._predictor.get_input_names()[0])
        self._output = self._predictor.get_output_handle(self._predictor.get_output_names()[0])

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return embeddings [N, dimension], not normalised, of prepared pictures [N, 3, height, width]."""
        self._input.copy_from_cpu(np.ascontiguousarray(images))
        self._predictor.run()
        return np.asarray(self._output.copy_to_cpu(), dtype=np.float32)


def _threads() -> int:
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
