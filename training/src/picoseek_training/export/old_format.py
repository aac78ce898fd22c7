"""Paddle's old format, `.pdmodel`, which Paddle before 3.0 and most converters read.

Paddle 3 writes it when FLAGS_enable_pir_api is 0 before it is imported, so this is a process of its own. It has lost
the old form of some operators on the way; they are given back here, and in that process only.
"""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn, version
from paddle.base.layer_helper import LayerHelper

from picoseek_training.export.program import STEM, WEIGHTS, NetworkInput, write_program
from picoseek_training.export.stored_weights import Precision

State = dict[str, NDArray[Any]]

_ERROR = re.compile(r"(\w+\.)*\w*(Error|Exception)(:|$)")
_PLACES = ("[operator <", "[TimeInfo:", "[SignalInfo:", "(at ")
_SOURCE = re.compile(r"\s*\(at \S+:\d+\)")


def write_old_program(
    make: Callable[[], nn.Layer],
    state: State,
    inputs: Sequence[NetworkInput],
    folder: Path,
    precision: Precision = Precision.FLOAT32,
) -> tuple[Path, Path]:
    """Write `inference.pdmodel` and `inference.pdiparams`.

    Args:
        make: Builds the network; it must be importable from another process.
        state: Its weights.
        inputs: What it takes.
        folder: Where the files shall lie.
        precision: How its weights are stored.

    Returns:
        The program and the weights file.

    Raises:
        ValueError: Paddle cannot write the network in this format.
    """
    with tempfile.TemporaryDirectory() as scratch:
        job = Path(scratch) / "job"
        job.write_bytes(pickle.dumps((make, state, tuple(inputs), precision)))
        command = [sys.executable, "-W", "ignore", "-m", "picoseek_training.export.old_format", str(job), str(folder)]
        environment = {**os.environ, "FLAGS_enable_pir_api": "0", "GLOG_minloglevel": "2"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = failure_reason(done.stderr, done.returncode)
        raise ValueError(f"Paddle {version.full_version} cannot write this network in its old format: {reason}")
    return folder / f"{STEM}.pdmodel", folder / WEIGHTS


def failure_reason(said: str, status: int) -> str:
    """Return, in one line, what a process of Paddle that failed says of the reason.

    The last error that it names is the innermost one; hints belong to it, places in Paddle's sources do not.

    Args:
        said: Its standard error.
        status: Its exit status; negative where a signal ended it.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines:
        return f"its process ended with status {status} and said nothing"
    named = [index for index, line in enumerate(lines) if _ERROR.match(line)]
    told = [line for line in (lines[named[-1] :] if named else lines[-3:]) if not line.startswith(_PLACES)]
    return _SOURCE.sub("", " ".join(told))


def _main(job: Path, folder: Path) -> None:
    make, state, inputs, precision = pickle.loads(job.read_bytes())  # written by our parent process
    network = make()
    network.set_state_dict({name: np.asarray(value) for name, value in state.items()})
    _restore_operators()
    write_program(network, inputs, folder, precision)


def _restore_operators() -> None:
    for name in ("sigmoid", "sqrt"):
        for module in (paddle, nn.functional):
            if hasattr(module, name):
                setattr(module, name, _unary(name, getattr(module, name)))
    operators: Any = paddle._C_ops
    new_nms = operators.multiclass_nms3

    def multiclass_nms3(boxes: Any, scores: Any, rois: Any, *attributes: Any) -> Any:
        if paddle.in_dynamic_mode():
            return new_nms(boxes, scores, rois, *attributes)
        names = ("score_threshold", "nms_top_k", "keep_top_k", "nms_threshold", "normalized", "nms_eta")
        values = dict(zip((*names, "background_label"), attributes, strict=True))
        helper = LayerHelper("multiclass_nms3")
        rows = helper.create_variable_for_type_inference(boxes.dtype)
        index, counts = (helper.create_variable_for_type_inference("int32") for _ in range(2))
        helper.append_op(
            type="multiclass_nms3",
            inputs={"BBoxes": boxes, "Scores": scores},
            attrs=values,
            outputs={"Out": rows, "Index": index, "NmsRoisNum": counts},
        )
        return rows, index, counts

    operators.multiclass_nms3 = multiclass_nms3


def _unary(name: str, new: Callable[..., Any]) -> Callable[..., Any]:
    def operator(x: Any, *_: Any) -> Any:
        if paddle.in_dynamic_mode():
            return new(x)
        helper = LayerHelper(name)
        out = helper.create_variable_for_type_inference(x.dtype)
        helper.append_op(type=name, inputs={"X": x}, outputs={"Out": out})
        return out

    return operator


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
