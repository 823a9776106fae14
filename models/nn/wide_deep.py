"""Wide & Deep (`thimble.models.architectures.wide_deep`) in torch."""

from torch import Tensor, nn

from thimble.models.architectures.wide_deep import WideDeepArchitecture
from thimble.models.nn.embeddings import sparse_arch
from thimble.models.nn.layers import MLP, as_logits, concatenated, first_order, start_as_sum
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.transforms import transform
from thimble.models.spec import ModelSpec


class WideDeep(Recommender):
    """SparseArch, which has first-order weights too, and OverArch."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        architecture = spec.architecture
        assert isinstance(architecture, WideDeepArchitecture)
        self.preprocess = transform(spec)
        self.sparse_arch = sparse_arch(spec)
        numbers, terms = spec.dense_transform.width(len(spec.dense)), int(bool(spec.fields))
        inputs = numbers + len(spec.fields) * (spec.embedding_dim - 1)
        self.over_arch = MLP(inputs, architecture.over_arch, last_relu=False, beside=numbers + terms)
        start_as_sum(self.last_layer, numbers, terms)

    @property
    def last_layer(self) -> nn.Linear:
        return self.over_arch.last

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        numbers = self.preprocess(dense)
        vectors, first = first_order(self.sparse_arch(ids))
        return as_logits(self.over_arch(concatenated(numbers, vectors), concatenated(numbers, first)))
