"""The digest of an embedding space."""

from __future__ import annotations

import hashlib
import json

from picoseek_bundle.manifest import EmbedderOutput, Manifest


def space_digest(manifest: Manifest) -> str:
    """Return "sha256:" and the digest over everything on which it depends whether two vectors may be compared.

    Weights, network and preprocessing decide on the vector; dimension, type and normalisation on its form. Name,
    version, licence and measured accuracy do not count: the same weights under another name make the same space.
    """
    assert isinstance(manifest.output, EmbedderOutput)
    parts = {
        "program": manifest.files[manifest.program].sha256,
        "weights": manifest.files[manifest.weights].sha256,
        "input": manifest.input.model_dump(mode="json"),
        "dimension": manifest.output.dimension,
        "type": "bits" if manifest.output.binarize else "float32",
        "normalize": manifest.output.normalize,
    }
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
