"""The neighbourhoods of vectors, kept by their codes.

Losses over labels arrange the classes of the training sets; what they do to things of other classes is left to chance.
This term is PicoSeek's own addition: every code shall have the neighbours that its vector has, whatever the labels.
"""

from __future__ import annotations

import paddle
from paddle import Tensor
from paddle.nn import functional as F

from picoseek_training.hash.straight_through import straight_through_signs

_OWN = 1e4


def neighbourhood_loss(codes: Tensor, vectors: Tensor, temperature: float) -> Tensor:
    """Return the mean divergence of the neighbourhoods in codes from those in vectors.

    The neighbourhood of a row is a distribution over the other rows, softmax(cosine / temperature), as in stochastic
    neighbour embedding (Hinton and Roweis 2002); the divergence is that of Kullback and Leibler.

    Args:
        codes: [N, bits] from -1 to 1. The signs are compared; the gradient passes as if they were the codes.
        vectors: [N, D] at unit norm.
        temperature: of the cosines.
    """
    signs = straight_through_signs(codes)
    own = paddle.eye(len(codes)) * _OWN
    found = F.log_softmax(signs @ signs.t() / codes.shape[1] / temperature - own, axis=1)
    wanted = F.log_softmax(vectors @ vectors.t() / temperature - own, axis=1)
    loss: Tensor = (wanted.exp() * (wanted - found)).sum(axis=1).mean()
    return loss
