"""The description that PaddleX reads beside a model, so that its PP-ShiTuV2 pipeline runs on a bundle's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from picoseek_bundle.manifest import DetectorOutput, EmbedderOutput, InputSpec, Interpolation, Manifest, ResizeMode

PADDLEX_NAME = "inference.yml"
"""File name that PaddleX asks for; the model's own files must have the same stem."""

_INTERPOLATION = {Interpolation.BILINEAR: 1, Interpolation.BICUBIC: 2, Interpolation.AREA: 3}
_FULL_SCALE = 1.0 / 255.0


def paddlex_description(manifest: Manifest) -> str | None:
    """Return the content of `inference.yml`, or None for a model that PaddleX cannot run as its manifest says.

    PaddleX's detector stretches pictures and divides them by 255 or leaves them; its embedder stretches bilinearly to a
    square and brings vectors to unit length; both read RGB.
    """
    names = {PurePath(name).stem for name in (manifest.program, manifest.weights)}
    spec, output = manifest.input, manifest.output
    if names != {PurePath(PADDLEX_NAME).stem} or spec.resize is not ResizeMode.STRETCH or spec.channel_order != "rgb":
        return None
    description = _detector(manifest, spec, output) if isinstance(output, DetectorOutput) else _embedder(spec, output)
    # JSON is YAML.
    return None if description is None else json.dumps(description, indent=2, ensure_ascii=False) + "\n"


def _detector(manifest: Manifest, spec: InputSpec, output: DetectorOutput) -> Mapping[str, Any] | None:
    if manifest.im_shape_input is not None or manifest.scale_factor_input is None:
        return None
    if spec.scale not in (1.0, _FULL_SCALE):
        return None
    return {
        "Global": {"model_name": "PP-ShiTuV2_det"},
        "draw_threshold": output.score_threshold,
        "arch": "PicoDet",
        "Preprocess": [
            {
                "type": "Resize",
                "interp": _INTERPOLATION[spec.interpolation],
                "keep_ratio": False,
                "target_size": [spec.height, spec.width],
            },
            {
                "type": "NormalizeImage",
                "norm_type": "mean_std",
                "is_scale": spec.scale != 1.0,
                "mean": list(spec.mean),
                "std": list(spec.std),
            },
            {"type": "Permute"},
        ],
        "label_list": list(output.labels),
    }


def _embedder(spec: InputSpec, output: EmbedderOutput) -> Mapping[str, Any] | None:
    if output.binarize or not output.normalize or spec.interpolation is not Interpolation.BILINEAR:
        return None
    if spec.width != spec.height:
        return None
    return {
        "Global": {"model_name": "PP-ShiTuV2_rec"},
        "PreProcess": {
            "transform_ops": [
                {"ResizeImage": {"size": [spec.width, spec.height], "return_numpy": False}},
                {
                    "NormalizeImage": {
                        "scale": spec.scale,
                        "mean": list(spec.mean),
                        "std": list(spec.std),
                        "order": "",
                        "channel_num": 3,
                    }
                },
                {"ToCHWImage": None},
            ]
        },
        "PostProcess": {"NormalizeFeatures": None},
    }
