import numpy as np
import paddle
import pytest
from picoseek_training.embedder.config import StudentConfig
from picoseek_training.embedder.student import Embedder
from picoseek_training.embedder.whitening import pooled_features, whiten


def test_whitened_embeddings_are_centred_and_uncorrelated() -> None:
    embedder = Embedder(StudentConfig(scale=0.25, dimension=32))
    images = np.random.default_rng(0).standard_normal((600, 3, 32, 32)).astype(np.float32)
    pooled = pooled_features(embedder, images)
    whiten(embedder, pooled, shrinkage=0.0)
    weight, bias = embedder.backbone.last_conv.weight.numpy()[:, :, 0, 0], embedder.backbone.last_conv.bias.numpy()
    whitened = pooled @ weight.T + bias
    np.testing.assert_allclose(whitened.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(np.cov(whitened, rowvar=False, bias=True), np.eye(32), atol=2e-2)
    np.testing.assert_allclose(embedder(paddle.to_tensor(images[:4])).numpy(), whitened[:4], rtol=1e-2, atol=1e-2)


def test_more_components_than_channels_are_refused() -> None:
    embedder = Embedder(StudentConfig(scale=0.25, dimension=512))
    with pytest.raises(ValueError, match="cannot be whitened"):
        whiten(embedder, np.zeros((4, 256), np.float32))
