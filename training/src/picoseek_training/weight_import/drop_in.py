"""Official inference folders as bundles: their files as they are, and a manifest beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from picoseek_bundle import Bundle, InputSpec, Interpolation, write_bundle

from picoseek_training.detector.export import network_description
from picoseek_training.networks import registry
from picoseek_training.networks.picodet import PicoDet
from picoseek_training.networks.recognition import RecModel
from picoseek_training.paddle_import.errors import PaddleFileError
from picoseek_training.paddle_import.program import find_program, read_program
from picoseek_training.weight_graph.graph import Graph
from picoseek_training.weight_import.deploying import default_side
from picoseek_training.weight_import.importing import import_weights

_DESCRIPTIONS = ("inference.yml", "infer_cfg.yml")
_INTERPOLATION = {1: Interpolation.BILINEAR, 2: Interpolation.BICUBIC, 3: Interpolation.AREA}


def bundle_of_folder(folder: Path, target: Path, network: str | None = None, **fields: Any) -> Bundle:
    """Write the bundle of an official inference folder.

    What the folder's own `inference.yml` or `infer_cfg.yml` says of resizing and labels is used; otherwise pictures are
    prepared as PP-ShiTu does.

    Args:
        folder: A program, its weights, and perhaps a description.
        target: Folder of the bundle; replaced when it is one.
        network: Name in the registry; None recognises it.
        fields: Fields of the manifest, such as name, version and licence.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds no known network, or one that is neither a detector nor an embedder.
    """
    program, weights = find_program(folder)
    imported = import_weights(folder, network)
    model = imported.network
    if not isinstance(model, PicoDet | RecModel) and imported.checkpoint.settings.get("num_classes", 0) is not None:
        raise ValueError(
            f"{folder} holds the classifier {imported.checkpoint.network}, which gives no embedding; make a checkpoint "
            "of it with `picoseek-train import weights`, and a bundle of its features with "
            "`picoseek-train export imported`"
        )
    graph = read_program(program, weights)
    side = default_side(imported.checkpoint.network)
    height, width = imported.size or (side, side)
    picture = next(name for name, shape in graph.inputs.items() if len(shape) == 4)
    files = {program.name: program, weights.name: weights}
    common = {
        "program": program.name,
        "weights": weights.name,
        "input_name": picture,
        "version": "1",
        "license": "Apache-2.0",
    }
    if isinstance(model, PicoDet):
        described = _description(folder)
        labels = described.get("label_list") or _labels(model.config.num_classes)
        values: dict[str, Any] = {
            "task": "detection",
            "input": InputSpec(width=width, height=height, interpolation=_interpolation(described)),
            "scale_factor_input": _named(graph, "scale_factor"),
            "im_shape_input": _named(graph, "im_shape"),
            "output": {"kind": "boxes", "labels": tuple(map(str, labels))},
            "network": network_description(model.config),
        }
    else:
        dimension = dict(imported.checkpoint.settings).get(
            "dimension", getattr(registry.default_config(imported.checkpoint.network), "dimension", None)
        )
        values = {
            "task": "embedding",
            "input": InputSpec(width=width, height=height),
            "output": {"kind": "embedding", "dimension": dimension or getattr(model, "out_channels", 0)},
            "network": imported.checkpoint.network,
        }
    return write_bundle(target, files, **{**common, **values, **fields})


def _description(folder: Path) -> dict[str, Any]:
    for name in _DESCRIPTIONS:
        file = folder / name
        if file.is_file():
            try:
                content = yaml.safe_load(file.read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise PaddleFileError(f"{file} is no YAML: {error}") from error
            return content if isinstance(content, dict) else {}
    return {}


def _interpolation(described: dict[str, Any]) -> Interpolation:
    for step in described.get("Preprocess") or ():
        if isinstance(step, dict) and step.get("type") == "Resize":
            return _INTERPOLATION.get(step.get("interp", 2), Interpolation.BICUBIC)
    return Interpolation.BICUBIC


def _labels(count: int) -> tuple[str, ...]:
    return ("foreground",) if count == 1 else tuple(f"class_{index}" for index in range(count))


def _named(graph: Graph, name: str) -> str | None:
    return name if name in graph.inputs else None
