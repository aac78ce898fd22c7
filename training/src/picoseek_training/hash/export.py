"""From a start and its head to the bundle that makes codes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from picoseek_bundle import Bundle, write_bundle

from picoseek_training import checkpoint
from picoseek_training.embedder.export import MODEL_CARD, export_inference
from picoseek_training.hash.config import HashTrainingConfig
from picoseek_training.hash.head import HashHead, HeadWeights
from picoseek_training.hash.network import HashNetwork, embedder_layer
from picoseek_training.hash.training import start_bundle
from picoseek_training.run.folder import LAST


def export_codes(codes: HashNetwork, bits: int, start: Bundle, model_card: Path, target: Path, **fields: Any) -> Bundle:
    """Write a network as a bundle whose vectors are packed bits, compared by Hamming distance.

    Args:
        codes: pictures to [N, bits], a bit being 1 where its value is above 0.
        bits: length of a code.
        start: the bundle that pictures are prepared for.
        model_card: Markdown file to ship with it.
        target: folder of the bundle; replaced when it exists.
        fields: the remaining manifest fields, such as name, version, licence and accuracy.

    Raises:
        BundleError: the manifest would not be valid, or `target` holds something else than a bundle.
    """
    with tempfile.TemporaryDirectory() as scratch:
        program, weights = export_inference(codes, start.manifest.input, Path(scratch))
        return write_bundle(
            target,
            {program.name: program, weights.name: weights, MODEL_CARD: model_card},
            task="embedding",
            program=program.name,
            weights=weights.name,
            input=start.manifest.input,
            output={
                "kind": "embedding",
                "dimension": bits,
                "normalize": False,
                "binarize": True,
                "metric": "hamming",
            },
            **fields,
        )


def with_head(start: Bundle, weights: HeadWeights) -> HashNetwork:
    """Return the network of a start with a learned head behind it.

    Raises:
        ValueError: the head was learned on the vectors of another network.
    """
    if weights.space != start.space:
        raise ValueError(
            f"the head was learned on vectors of the space {weights.space}, and {start.folder} makes {start.space}; "
            "train a head for it with `picoseek-train hash`"
        )
    head = HashHead(*weights.weight.shape)
    head.set_weights(weights)
    return HashNetwork(embedder_layer(start), head)


def trained_network(config: HashTrainingConfig, path: Path | None = None) -> HashNetwork:
    """Return the network of a checkpoint, by default of the run's last one.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is damaged, was trained from another start, or with another `train`.
    """
    start = start_bundle(config)
    if config.train == "head":
        return with_head(start, trained_head(config, path))
    file = path or config.output / LAST
    content = checkpoint.load(file)
    state = content.get("network")
    if not isinstance(state, dict) or "head.fc.weight" not in state or content.get("space") != start.space:
        raise ValueError(f"{file} is no checkpoint of a whole network from {start.folder}")
    network = HashNetwork(embedder_layer(start), HashHead(*state["head.fc.weight"].shape))
    network.set_state_dict(state)
    return network


def trained_head(config: HashTrainingConfig, path: Path | None = None) -> HeadWeights:
    """Return the head of a checkpoint of a run that trained the head alone, by default of the run's last one.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is damaged, or a checkpoint of something else.
    """
    file = path or config.output / LAST
    content = checkpoint.load(file)
    try:
        weight, bias = (np.asarray(content["head"][f"fc.{name}"], dtype=np.float32) for name in ("weight", "bias"))
        return HeadWeights(weight, bias, str(content["space"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} has no head that was trained alone") from error
