"""An MLP over numbers and embeddings alone (`thimble.models.architectures.mlp`) in torch."""

from torch import Tensor, nn

from thimble.models.architectures.mlp import MlpArchitecture
from thimble.models.nn.embeddings import sparse_arch
from thimble.models.nn.layers import MLP, as_logits, concatenated
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.transforms import transform
from thimble.models.spec import ModelSpec


class MLPRecommender(Recommender):
    """SparseArch, OverArch."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        architecture = spec.architecture
        assert isinstance(architecture, MlpArchitecture)
        self.preprocess = transform(spec)
        self.sparse_arch = sparse_arch(spec)
        inputs = spec.dense_transform.width(len(spec.dense)) + len(spec.fields) * spec.embedding_dim
        self.over_arch = MLP(inputs, architecture.over_arch, last_relu=False)

    @property
    def last_layer(self) -> nn.Linear:
        return self.over_arch.last

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        return as_logits(self.over_arch(concatenated(self.preprocess(dense), self.sparse_arch(ids))))
