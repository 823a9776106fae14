"""DCN V2 (`thimble.models.architectures.dcnv2`) in torch."""

from torch import Tensor, nn

from thimble.models.architectures.dcnv2 import DcnV2Architecture
from thimble.models.nn.embeddings import sparse_arch
from thimble.models.nn.layers import MLP, NumberVectors, Projection, as_logits, concatenated, first_order, start_as_sum
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.transforms import transform
from thimble.models.spec import ModelSpec


class CrossNet(nn.ModuleList):
    """x_0 [batch, width] -> x_L [batch, width], with x_{l+1} = x_0 * (W_l x_l + b_l) + x_l.

    With a rank W_l is the product of two matrices. It starts as torchrec's does.
    """

    def __init__(self, width: int, layers: int, rank: int | None) -> None:
        super().__init__()
        for _ in range(layers):
            last = nn.Linear(width if rank is None else rank, width)
            self.append(last if rank is None else nn.Sequential(Projection(width, rank), last))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, x0: Tensor) -> Tensor:
        x = x0
        for layer in self:
            x = x0 * layer(x) + x
        return x


class DCNv2(Recommender):
    """DenseArch, SparseArch, a cross network, OverArch, and what the architecture has beside these."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        architecture = spec.architecture
        assert isinstance(architecture, DcnV2Architecture)
        self.preprocess = transform(spec)
        self.dense_arch: nn.Module = nn.Identity()
        self.number_vectors: nn.Module = nn.Identity()
        self.first_order = architecture.first_order
        dim = spec.embedding_dim - self.first_order
        numbers = width = spec.dense_transform.width(len(spec.dense))
        if architecture.dense_arch:
            self.dense_arch = MLP(numbers, architecture.dense_arch, last_relu=True)
            width = architecture.dense_arch[-1]
        elif architecture.number_vectors:
            self.number_vectors = NumberVectors(numbers, dim)
            width = numbers * dim
        self.sparse_arch = sparse_arch(spec)
        width += len(spec.fields) * dim
        self.cross_net = CrossNet(width, architecture.cross_layers, architecture.cross_rank)
        self.deep = MLP(width, architecture.deep, last_relu=True) if architecture.deep else None
        hidden = architecture.deep[-1] if architecture.deep else 0
        linear, terms = (numbers, int(bool(spec.fields))) if self.first_order else (0, 0)
        self.over_arch = MLP(width, architecture.over_arch, last_relu=False, beside=hidden + linear + terms)
        start_as_sum(self.last_layer, linear, terms)

    @property
    def last_layer(self) -> nn.Linear:
        return self.over_arch.last

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        numbers, embeddings, beside = self.preprocess(dense), self.sparse_arch(ids), []
        if self.first_order:
            embeddings, first = first_order(embeddings)
            beside = [numbers, first]
        x0 = concatenated(self.number_vectors(self.dense_arch(numbers)), embeddings)
        if self.deep is not None:
            beside = [self.deep(x0), *beside]
        return as_logits(self.over_arch(self.cross_net(x0), concatenated(*beside) if beside else None))
