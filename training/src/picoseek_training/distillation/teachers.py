"""Networks that others learn from, all asked in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from picoseek_training import checkpoint
from picoseek_training.data.normalisation import MEAN, STD
from picoseek_training.distillation.config import FileTeacherConfig
from picoseek_training.distillation.openvino_network import compile_float32
from picoseek_training.distillation.taps import Taps
from picoseek_training.networks.recognition import MarginHead, RecModel, RecognitionOutput
from picoseek_training.paddle_import.program import read_program

_USUAL_SIDE = 224

Answers = dict[str, Tensor]
"""What a network says of N pictures, [N, ...] each, by name."""

OWN_NAMES = ("logits", "features", "backbone")
"""Answers that every recognition model has; other names are those of its layers."""


class Teacher(Protocol):
    """Says something of pictures."""

    def __call__(self, images: Tensor, labels: Tensor) -> Answers:
        """Answer for normalised pictures [N, 3, S, S] of classes [N]."""
        ...


class ModelAnswers:
    """A recognition model's answers, those of inner layers among them."""

    def __init__(self, model: RecModel, names: set[str], key: str) -> None:
        """Watch a model.

        Raises:
            ValueError: The model has no such layer.
        """
        self._names = names
        self._taps = Taps(model, sorted(names - set(OWN_NAMES)), key)

    def of(self, output: RecognitionOutput) -> Answers:
        """Return the answers of the last forward pass, which gave `output`."""
        own = {"logits": output.logits, "features": output.features, "backbone": output.backbone}
        said = {**own, **self._taps.outputs}
        return {name: said[name].astype("float32") for name in self._names}


class FixedModel:
    """A recognition model that does not learn here; its weights may be replaced between steps."""

    def __init__(self, model: RecModel, names: set[str]) -> None:
        self.model = model
        self.model.eval()
        self._answers = ModelAnswers(model, names, "distillation.compare.teacher_layer")

    @paddle.no_grad()
    def __call__(self, images: Tensor, labels: Tensor) -> Answers:
        """Answer without gradient; a margin head's cosines are scaled as in its training, without the margin."""
        answers = self._answers.of(self.model(images, labels))
        if isinstance(self.model.head, MarginHead) and "logits" in answers:
            answers["logits"] = self.model.head.scale * answers["logits"]
        return answers


class FileTeacher:
    """A network in an ONNX file (run by OpenVINO) or in Paddle inference files."""

    def __init__(self, config: FileTeacherConfig) -> None:
        """Load the network.

        Raises:
            FileNotFoundError: The file, or its weights, are missing.
            ValueError: It is no such file, takes no pictures of this side, or has no such output.
        """
        self._config = config
        if not config.file.is_file():
            raise FileNotFoundError(f"distillation.teacher.file: {config.file} does not exist")
        self._run, fixed = (_onnx if config.file.suffix == ".onnx" else _paddle)(config.file)
        self._size = _size(config, fixed)
        given = len(self._run(np.zeros((1, 3, *self._size), np.float32)))
        for name, number in config.outputs.items():
            if not 0 <= number < given:
                raise ValueError(
                    f"distillation.teacher.outputs.{name}: {config.file} has outputs 0 to {given - 1}, not {number}"
                )
        # From ImageNet's mean and deviation to the teacher's own.
        mean, std = (np.array(each, np.float32) for each in (config.mean, config.std))
        self._scale = paddle.to_tensor((255.0 * STD / std).reshape(1, 3, 1, 1))
        self._shift = paddle.to_tensor(((255.0 * MEAN - mean) / std).reshape(1, 3, 1, 1))

    @paddle.no_grad()
    def __call__(self, images: Tensor, labels: Tensor) -> Answers:
        """Answer for normalised pictures; labels make no difference."""
        if tuple(images.shape[2:]) != self._size:
            images = F.interpolate(images, size=list(self._size), mode="bilinear", align_corners=False)
        outputs = self._run((images * self._scale + self._shift).numpy())
        return {name: paddle.to_tensor(outputs[number]) for name, number in self._config.outputs.items()}


def load_model_weights(network: nn.Layer, path: Path, key: str) -> list[str]:
    """Put trained weights into a network, those whose names and shapes it has, and return the names of its others.

    Args:
        network: As it was made.
        path: `.pdparams`, or a checkpoint of ours: its average, or its weights with their head.
        key: Of the recipe, for the messages.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or holds another network: less than half of the tensors fit.
    """
    state = read_model_state(path, key)
    own = network.state_dict()
    prefixes = ("", "backbone.") if isinstance(network, RecModel) else ("",)
    fitting = {
        prefix + name: value
        for prefix in prefixes
        for name, value in state.items()
        if prefix + name in own and list(own[prefix + name].shape) == list(value.shape)
    }
    if 2 * len(fitting) < len(own):
        raise ValueError(f"{key}: {path} holds another network: {len(fitting)} of {len(own)} tensors fit")
    for name, value in fitting.items():
        own[name].set_value(np.asarray(value, own[name].numpy().dtype))
    return sorted(own.keys() - fitting.keys())


def read_model_state(path: Path, key: str) -> Mapping[str, Any]:
    """Return the weights of a file: `.pdparams`, or a checkpoint of ours.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged or no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{key}: {path} does not exist")
    content = checkpoint.load(path)
    if "averaged" not in content:
        return {name: value for name, value in content.items() if isinstance(value, np.ndarray)}
    head = {f"head.{name}": value for name, value in content.get("head", {}).items()}
    return {**content.get("model", {}), **head, **content["averaged"]}


_Size = tuple[int, int]
_Run = Callable[[Any], list[Any]]


def _size(config: FileTeacherConfig, fixed: _Size | None) -> _Size:
    if config.side is None:
        return fixed or (_USUAL_SIDE, _USUAL_SIDE)
    wanted = config.side, config.side
    if fixed not in (None, wanted):
        raise ValueError(
            f"distillation.teacher.side: {config.file} takes pictures of {fixed[0]} x {fixed[1]} pixels and no others; "
            "leave side out"
        )
    return wanted


def _onnx(file: Path) -> tuple[_Run, _Size | None]:
    """Return what runs a file, and the height and width that it fixes."""
    try:
        compiled = compile_float32(str(file))
    except RuntimeError as error:
        raise ValueError(f"distillation.teacher.file: {file} is no ONNX file that OpenVINO runs: {error}") from error
    count = len(compiled.outputs)
    shape = compiled.inputs[0].partial_shape
    sides = [shape[axis] for axis in (2, 3)] if len(shape) == 4 else []
    fixed = (
        (int(sides[0].get_length()), int(sides[1].get_length())) if sides and all(s.is_static for s in sides) else None
    )

    def run(images: Any) -> list[Any]:
        result = compiled(images)
        return [np.array(result[index]) for index in range(count)]

    return run, fixed


def _paddle(file: Path) -> tuple[_Run, _Size | None]:
    """Return what runs a program, and the height and width that it fixes."""
    weights = file.with_suffix(".pdiparams")
    if not weights.is_file():
        raise FileNotFoundError(f"distillation.teacher.file: {weights} does not exist; it belongs beside {file}")
    network = paddle.jit.load(str(file.with_suffix("")))
    network.eval()

    def run(images: Any) -> list[Any]:
        with paddle.no_grad():
            outputs = network(paddle.to_tensor(images))
        return [each.numpy() for each in (outputs if isinstance(outputs, list | tuple) else [outputs])]

    return run, read_program(file, weights).picture_size
