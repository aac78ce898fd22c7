"""How fast exported files are in their engines, by turns: bundles in Paddle Inference, ONNX files in ONNX Runtime.

    python training/benchmarks/export_speed.py BUNDLE [BUNDLE | FILE.onnx …] [--batch 8] [--threads 1]

Prints for each the median time of a batch, and the ratio to the first.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from picoseek_bundle import Bundle, load_bundle

_SEED = 0
_WARM = 3

Feed = dict[str, NDArray[np.float32]]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="bundles and ONNX files; the first is a bundle")
    parser.add_argument("--batch", type=int, default=8, help="pictures (a detector in ONNX takes one)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=20)
    options = parser.parse_args()
    feed = _feed(load_bundle(options.models[0]), options.batch)
    runs = [(_onnx if path.suffix == ".onnx" else _paddle)(path, options.threads) for path in options.models]
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(_WARM + options.turns):
        for run, taken in zip(runs, times, strict=True):
            started = time.perf_counter()
            run(feed)
            if turn >= _WARM:
                taken.append(time.perf_counter() - started)
    first = statistics.median(times[0])
    for path, taken in zip(options.models, times, strict=True):
        median = statistics.median(taken)
        sys.stdout.write(
            f"{path}: {1000 * median:.1f} ms a batch of {options.batch}, {median / first:.2f} of the first\n"
        )


def _feed(bundle: Bundle, batch: int) -> Feed:
    spec = bundle.manifest.input
    pictures = np.random.default_rng(_SEED).normal(size=(batch, 3, spec.height, spec.width)).astype(np.float32)
    feed = {bundle.manifest.input_name: pictures}
    if bundle.manifest.scale_factor_input is not None:
        feed[bundle.manifest.scale_factor_input] = np.ones((batch, 2), np.float32)
    return feed


def _paddle(folder: Path, threads: int) -> Callable[[Feed], None]:
    from paddle import inference

    bundle = load_bundle(folder)
    config: Any = inference.Config(str(bundle.program), str(bundle.weights))
    config.disable_glog_info()
    config.enable_new_executor(True)
    config.enable_memory_optim(True)
    config.disable_gpu()
    config.enable_mkldnn()
    config.set_cpu_math_library_num_threads(threads)
    predictor = inference.create_predictor(config)
    inputs = {name: predictor.get_input_handle(name) for name in predictor.get_input_names()}
    outputs = [predictor.get_output_handle(name) for name in predictor.get_output_names()]

    def run(feed: Feed) -> None:
        for name, handle in inputs.items():
            handle.copy_from_cpu(feed[name])
        predictor.run()
        for handle in outputs:
            handle.copy_to_cpu()

    return run


def _onnx(file: Path, threads: int) -> Callable[[Feed], None]:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(None, feed) and None


if __name__ == "__main__":
    main()
