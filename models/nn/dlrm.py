"""DLRM (Naumov et al. 2019) in TorchRec's words."""

import torch
from torch import Tensor, nn

from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.nn.embeddings import sparse_arch
from thimble.models.nn.layers import MLP, as_logits
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.transforms import transform
from thimble.models.spec import ModelSpec


class ConstantArch(nn.Module):
    """DenseArch of a model without numbers: a trained vector, the same for all rows.

    Its products with the embeddings are what makes the logit linear in them too. It starts standard normal, far longer
    than embeddings start, because their gradients grow with it: were it as short, MovieLens-100k would have an AUC .01
    lower after one epoch.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.randn(dim))

    def forward(self, dense: Tensor) -> Tensor:
        return self.vector.expand(dense.shape[0], -1)


class InteractionArch(nn.Module):
    """Dot products of all pairs among the dense vector and the embeddings: the strict lower triangle, row by row."""

    triangle: Tensor

    def __init__(self, fields: int) -> None:
        super().__init__()
        self.fields = fields
        rows, columns = torch.tril_indices(fields + 1, fields + 1, offset=-1)
        self.register_buffer("triangle", rows * (fields + 1) + columns, persistent=False)

    def out_features(self, dim: int) -> int:
        """The width of its output, for embeddings of this dimension."""
        return dim + len(self.triangle)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        if not self.fields:
            return dense
        row = dense.unsqueeze(1)  # [batch, 1, dim]
        together = torch.cat([row, sparse], dim=1)  # [batch, 1 + fields, dim]
        products = torch.bmm(together, together.transpose(1, 2)).flatten(1)  # [batch, (1 + fields)^2]
        # with index_select the elements of a row take ONNX Runtime several times as long
        interactions = products.gather(1, self.triangles(row))
        return torch.cat([dense, interactions], dim=1)

    def triangles(self, row: Tensor) -> Tensor:
        """The triangle for each row of a batch: [batch, pairs]."""
        return self.triangle.expand(row.shape[0], -1)


class DLRM(Recommender):
    """DenseArch, SparseArch, InteractionArch, OverArch."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        architecture = spec.architecture
        assert isinstance(architecture, DlrmArchitecture)
        self.preprocess: nn.Module = nn.Identity()
        self.dense_arch: nn.Module = ConstantArch(spec.embedding_dim)
        if spec.dense:
            numbers = spec.dense_transform.width(len(spec.dense))
            self.preprocess = transform(spec)
            self.dense_arch = MLP(numbers, architecture.dense_arch, last_relu=True)
        self.sparse_arch = sparse_arch(spec)
        self.interaction_arch = InteractionArch(len(spec.fields))
        interactions = self.interaction_arch.out_features(spec.embedding_dim)
        self.over_arch = MLP(interactions, architecture.over_arch, last_relu=False)

    @property
    def last_layer(self) -> nn.Linear:
        return self.over_arch.last

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        dense_vector = self.dense_arch(self.preprocess(dense))  # [batch, dim]
        embeddings = self.sparse_arch(ids)  # [batch, fields, dim]
        return as_logits(self.over_arch(self.interaction_arch(dense_vector, embeddings)))
