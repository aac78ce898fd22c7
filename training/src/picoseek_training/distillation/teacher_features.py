"""Features of a frozen ONNX teacher for every view of every example, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from picoseek_training.bounds import Positive, Side
from picoseek_training.configuration import STRICT
from picoseek_training.data.views import ViewConfig, draw_view, render_view
from picoseek_training.distillation.openvino_network import compile_float32, openvino_core
from picoseek_training.evaluation.retrieval import unit_rows

Pictures = NDArray[np.uint8]
Features = NDArray[np.float16]


@dataclass(frozen=True)
class TeacherConfig:
    """The frozen network and what it is fed with."""

    __pydantic_config__ = STRICT

    model: Path
    """ONNX file, or a frozen TensorFlow graph (`.pb`)."""
    output: int | str = 1
    """The features [N, D]: index of an ONNX file's output, name of a frozen graph's tensor."""
    side: Side = 224
    """Side of its square input in pixels."""
    mean: float = 127.0
    """Subtracted from grey levels 0 … 255."""
    std: Positive = 128.0
    """Divided by afterwards."""


class FixedTeacher:
    """Runs the teacher with OpenVINO on the CPU."""

    batch = 32

    def __init__(self, config: TeacherConfig) -> None:
        """Load the network.

        Raises:
            FileNotFoundError: The file is missing.
            ValueError: The file has no such output.
        """
        if not config.model.exists():
            raise FileNotFoundError(f"teacher {config.model} does not exist")
        self.config = config
        self._channels_last = config.model.suffix == ".pb"
        model, self._output = _read_graph(config) if self._channels_last else _read_onnx(config)
        self._run: Any = compile_float32(model)
        self.dimension = self(np.zeros((1, config.side, config.side, 3), np.uint8)).shape[1]
        """Components D of the features."""

    def __call__(self, pictures: Pictures) -> NDArray[np.float32]:
        """Features [N, D] of pictures [N, side, side, 3] uint8 RGB."""
        normalised = (pictures.astype(np.float32) - self.config.mean) / self.config.std
        result = self._run(
            normalised if self._channels_last else np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))
        )
        return np.array(result[self._output], dtype=np.float32).reshape(len(pictures), -1)

    def describe(self, pictures: Pictures) -> NDArray[np.float32]:
        """Features [N, D] of whole pictures [N, S, S, 3] of any size."""
        size = (self.config.side, self.config.side)
        parts = [
            self(np.stack([np.asarray(cv2.resize(p, size), np.uint8) for p in pictures[i : i + self.batch]]))
            for i in range(0, len(pictures), self.batch)
        ]
        return np.concatenate(parts)


def _read_onnx(config: TeacherConfig) -> tuple[Any, int]:
    model = openvino_core().read_model(config.model)
    if not isinstance(config.output, int) or config.output >= len(model.outputs):
        raise ValueError(f"{config.model} has {len(model.outputs)} outputs by number, and none {config.output!r}")
    return model, config.output


def _read_graph(config: TeacherConfig) -> tuple[Any, int]:
    from openvino.frontend import FrontEndManager, GeneralFailure

    frontend = FrontEndManager().load_by_framework("tf")
    try:
        graph = frontend.load(str(config.model))
        place = graph.get_place_by_tensor_name(str(config.output))
    except GeneralFailure as error:
        raise ValueError(f"{config.model} is no frozen TensorFlow graph: {error}") from error
    if place is None:
        raise ValueError(f"{config.model} has no tensor {config.output!r}")
    graph.override_all_outputs([place])
    model = frontend.convert(graph)
    model.reshape([-1, config.side, config.side, 3])
    return model, 0


def view_seed(seed: int, example: int, view: int) -> tuple[int, int, int]:
    """Seed of one view of one example."""
    return (seed, example, view)


def teacher_view_features(
    config: TeacherConfig,
    store: Pictures,
    view_config: ViewConfig,
    seed: int,
    views: int,
    folder: Path,
    progress: Callable[[int, int], None],
) -> Features:
    """Return the features [views, N, D] of views 0 … views - 1 of all N examples, mapped from disk.

    What is missing is computed; an interrupted call goes on at the last finished batch. `progress` receives the
    finished and the total number of pictures.
    """
    count = len(store)
    described = json.dumps(
        [str(config), asdict(view_config), seed, count, store.shape[1], _fingerprint(store)], default=str
    )
    key = hashlib.sha256(described.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"teacher-{key}-view{view}.npy" for view in range(views)]
    missing = [(view, file) for view, file in enumerate(files) if not file.exists()]
    teacher = FixedTeacher(config) if missing else None
    for view, file in missing:
        assert teacher is not None
        part, done_file = file.with_suffix(".part"), file.with_suffix(".done")
        start = int(done_file.read_text()) if done_file.exists() else 0
        mode = "r+" if start else "w+"
        features = np.lib.format.open_memmap(part, mode, np.float16, (count, teacher.dimension))
        for first in range(start, count, teacher.batch):
            last = min(first + teacher.batch, count)
            pictures = [
                render_view(store[i], draw_view(view_config, view_seed(seed, i, view)), config.side)
                for i in range(first, last)
            ]
            features[first:last] = teacher(np.stack(pictures))
            if first // teacher.batch % 32 == 31:
                features.flush()
                done_file.write_text(str(last))
            progress(view * count + last, views * count)
        features.flush()
        os.replace(part, file)
        done_file.unlink(missing_ok=True)
    return np.stack([np.load(file, mmap_mode="r") for file in files])


def joined_teacher_features(
    teachers: Sequence[TeacherConfig],
    store: Pictures,
    view_config: ViewConfig,
    seed: int,
    views: int,
    folder: Path,
    progress: Callable[[int, int], None],
) -> Features:
    """Return the features of several teachers side by side, each at unit norm: [views, N, sum of dimensions]."""
    parts = [teacher_view_features(config, store, view_config, seed, views, folder, progress) for config in teachers]
    joined = np.empty((views, len(store), sum(part.shape[-1] for part in parts)), np.float16)
    for view in range(views):
        joined[view] = np.hstack([unit_rows(part[view].astype(np.float32)) for part in parts])
    return joined


def _fingerprint(store: Pictures) -> str:
    return hashlib.sha256(np.ascontiguousarray(store[:: max(1, len(store) // 64), ::16, ::16]).data).hexdigest()
