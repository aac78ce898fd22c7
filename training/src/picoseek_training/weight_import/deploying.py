"""An imported network as something to export: a detector, or what of another network makes an embedding."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from picoseek_bundle import Bundle, InputSpec

from picoseek_training.detector.export import detector_inputs, input_spec, network_description
from picoseek_training.detector.export import export_bundle as export_detector
from picoseek_training.embedder.export import embedder_inputs
from picoseek_training.embedder.export import export_bundle as export_embedder
from picoseek_training.export.formats import Deployable
from picoseek_training.export.stored_weights import Precision
from picoseek_training.network_checkpoint import NetworkCheckpoint
from picoseek_training.networks import registry
from picoseek_training.networks.efficientnet_lite import FEATURES
from picoseek_training.networks.picodet import PicoDet

_SIDES = {"picodet_l": 640, "picodet_mainbody": 640}
_DETECTOR_SIDE, _EMBEDDER_SIDE = 320, 224
_LARGEST_STRIDE = 32
_CLASSIFIER = "fc."


def default_side(network: str) -> int:
    """Return the side of the square input, in pixels, for which a network was published."""
    return _SIDES.get(network, _DETECTOR_SIDE if network.startswith("picodet") else _EMBEDDER_SIDE)


@dataclass(frozen=True)
class ImportedModel:
    """What an export writes."""

    deployable: Deployable
    spec: InputSpec
    """How it wants its pictures."""
    dimension: int | None
    """Components of its embedding; None for a detector."""
    classes: int
    """Of a detector."""
    description: str
    """The architecture, for people."""


def imported_model(checkpoint: NetworkCheckpoint, side: int | None = None) -> ImportedModel:
    """Describe the export of an imported network; a classifier leaves its last layer behind and gives its features.

    Args:
        checkpoint: What was imported.
        side: Side of the square input in pixels; None is that of the file it comes from, or what the network was
            published with.

    Raises:
        ValueError: A detector cannot look at pictures of this side.
    """
    settings = dict(checkpoint.settings)
    network, size = checkpoint.build(), side or checkpoint.side or default_side(checkpoint.network)
    if isinstance(network, PicoDet):
        if size % _LARGEST_STRIDE:
            raise ValueError(f"side: a detector takes multiples of {_LARGEST_STRIDE} px, not {size}")
        spec = input_spec(size)
        make = partial(registry.create, checkpoint.network, **settings)
        deployable = Deployable(make, checkpoint.state, detector_inputs(spec), ("boxes", "counts"))
        return ImportedModel(deployable, spec, None, network.config.num_classes, network_description(network.config))
    spec = InputSpec(width=size, height=size)
    state = {name: value for name, value in checkpoint.state.items() if not name.startswith(_CLASSIFIER)}
    make = partial(registry.create, checkpoint.network, **{**settings, "num_classes": None})
    deployable = Deployable(make, state, embedder_inputs(spec), ("embedding",))
    if "dimension" in {field.name for field in fields(registry.default_config(checkpoint.network))}:
        dimension = settings.get("dimension", registry.default_config(checkpoint.network).dimension)
    else:
        dimension = getattr(make(), "out_channels", FEATURES)
    return ImportedModel(deployable, spec, dimension, 0, checkpoint.network)


def export_imported(
    model: ImportedModel, model_card: Path, target: Path, precision: Precision = Precision.FLOAT32, **fields: Any
) -> Bundle:
    """Write an imported network as a bundle.

    Args:
        model: What to write.
        model_card: Markdown file to ship with it.
        target: Folder of the bundle; replaced when it is one.
        precision: How its weights are stored.
        fields: Fields of the manifest such as name, version and licence; `labels` names a detector's classes.

    Raises:
        BundleError: The manifest would not be valid.
        ValueError: There are not as many labels as classes.
    """
    network = model.deployable.build()
    described = {"network": model.description, **fields}
    if model.dimension is not None:
        return export_embedder(network, model.spec, model.dimension, model_card, target, precision, **described)
    assert isinstance(network, PicoDet)
    default = ["foreground"] if model.classes == 1 else [f"class_{index}" for index in range(model.classes)]
    labels = described.pop("labels", default)
    if len(labels) != model.classes:
        raise ValueError(f"labels: the detector has {model.classes} classes, {len(labels)} are named")
    return export_detector(network, model.spec, model_card, target, precision, labels, **described)
