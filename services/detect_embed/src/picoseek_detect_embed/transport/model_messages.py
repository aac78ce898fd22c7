"""Models as the contract describes them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from picoseek_chassis.errors import invalid_argument
from picoseek_protos.v1 import embedding_pb2, model_pb2

from picoseek_detect_embed.models.catalogue import Catalogue
from picoseek_detect_embed.models.detector import Detector
from picoseek_detect_embed.models.embedder import Embedder
from picoseek_detect_embed.models.served_model import ModelState

_DEFAULT_PAGE = 100
_LARGEST_PAGE = 1000

_STATE = {
    ModelState.LOADING: model_pb2.MODEL_STATE_LOADING,
    ModelState.READY: model_pb2.MODEL_STATE_READY,
    ModelState.FAILED: model_pb2.MODEL_STATE_FAILED,
}
_METRIC = {
    "cosine": embedding_pb2.METRIC_COSINE,
    "inner_product": embedding_pb2.METRIC_INNER_PRODUCT,
    "l2": embedding_pb2.METRIC_L2,
    "hamming": embedding_pb2.METRIC_HAMMING,
}


def model_message(served: Detector | Embedder, catalogue: Catalogue) -> model_pb2.Model:
    """Return a model as it is now."""
    manifest = served.model.bundle.manifest
    message = model_pb2.Model(
        name=manifest.name,
        state=_STATE[served.model.state],
        is_default=catalogue.is_default(manifest.name),
        input_width=manifest.input.width,
        input_height=manifest.input.height,
        version=manifest.version,
        license=manifest.license,
        description=". ".join(part for part in (manifest.description.rstrip("."), manifest.network) if part),
        digest=served.model.bundle.digest,
        engine=served.model.engine_name,
        accuracy={f"{figure.data} {figure.metric}": figure.value for figure in manifest.accuracy},
    )
    if isinstance(served, Detector):
        message.task = model_pb2.MODEL_TASK_DETECTION
        message.labels.extend(served.labels)
        message.score_threshold = served.score_threshold
    else:
        message.task = model_pb2.MODEL_TASK_EMBEDDING
        message.space.CopyFrom(
            embedding_pb2.EmbeddingSpace(
                digest=served.space,
                dimension=served.output.dimension,
                type=embedding_pb2.VECTOR_TYPE_BITS if served.output.binarize else embedding_pb2.VECTOR_TYPE_FLOAT32,
                normalized=served.output.normalize,
                metric=_METRIC[served.output.metric],
            )
        )
    return message


def page_of_models(
    models: Sequence[Detector | Embedder], request: model_pb2.ListModelsRequest
) -> tuple[Sequence[Detector | Embedder], str]:
    """Return the models of a page and the token of the next one, empty after the last.

    Args:
        models: all models by name.
        request: which page.

    Raises:
        ServiceError: OPTION_INVALID for a page size or token that cannot be.
    """
    if request.page_size > _LARGEST_PAGE:
        raise invalid_argument(
            "OPTION_INVALID",
            f"page_size {request.page_size} must be from 1 to {_LARGEST_PAGE}",
            option="page_size",
        )
    after = _read_token(request.page_token) if request.page_token else ""
    rest = [served for served in models if served.model.name > after]
    page = rest[: request.page_size or _DEFAULT_PAGE]
    more = len(rest) > len(page)
    return page, base64.urlsafe_b64encode(page[-1].model.name.encode()).decode() if more else ""


def _read_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise invalid_argument(
            "OPTION_INVALID", "page_token is none that ListModels gave out", option="page_token"
        ) from error
