"""DeepFM (`thimble.models.architectures.deepfm`) in torch."""

import torch
from torch import Tensor, nn

from thimble.models.architectures.deepfm import DeepFmArchitecture
from thimble.models.nn.embeddings import sparse_arch
from thimble.models.nn.layers import MLP, NumberVectors, as_logits, concatenated, first_order, start_as_sum
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.transforms import transform
from thimble.models.spec import ModelSpec


class DeepFM(Recommender):
    """SparseArch, which has first-order weights too, the second-order term of a factorisation machine, and OverArch."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        architecture = spec.architecture
        assert isinstance(architecture, DeepFmArchitecture)
        self.preprocess = transform(spec)
        self.sparse_arch = sparse_arch(spec)
        numbers, dim = spec.dense_transform.width(len(spec.dense)), spec.embedding_dim - 1
        own = architecture.number_vectors
        self.number_vectors = NumberVectors(numbers, dim) if own else None
        inputs = numbers * (dim if own else 1) + len(spec.fields) * dim
        terms = bool(spec.fields) + bool(spec.fields or own)
        self.over_arch = MLP(inputs, architecture.over_arch, last_relu=False, beside=numbers + terms)
        start_as_sum(self.last_layer, numbers, terms)

    @property
    def last_layer(self) -> nn.Linear:
        return self.over_arch.last

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        numbers = self.preprocess(dense)
        vectors, first = first_order(self.sparse_arch(ids))
        if self.number_vectors is None:
            x = concatenated(numbers, vectors)
        else:
            vectors = torch.cat([self.number_vectors(numbers), vectors], dim=1)
            x = concatenated(vectors)
        return as_logits(self.over_arch(x, concatenated(numbers, first, second_order(vectors))))


def second_order(vectors: Tensor) -> Tensor:
    """The dot products of all pairs of vectors [batch, n, dim], summed: [batch, 1]; of no vectors [batch, 0]."""
    if not vectors.shape[1]:
        return vectors.flatten(1)
    pairs = vectors.sum(dim=1).square() - vectors.square().sum(dim=1)
    return 0.5 * pairs.sum(dim=1, keepdim=True)
