"""What every architecture's torch module is."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from thimble.models.heads import Heads
from thimble.models.nn.embeddings import SparseArch
from thimble.models.nn.heads import probability_columns
from thimble.models.spec import ModelSpec


class ParameterGroups(NamedTuple):
    """The parameters by the optimizer that suits them: few of `sparse`, the embeddings, are touched by a batch.

    The step of quantized ones is among the `dense`.
    """

    dense: list[nn.Parameter]
    sparse: list[nn.Parameter]


class Answering(nn.Module):
    """dense [batch, numbers] and ids [batch, slots], float32 and int64 -> logits [batch], of `heads` [batch, heads]."""

    heads: Heads


class Recommender(Answering, ABC):
    """dense [batch, numbers] float32 and ids [batch, slots] int64 -> logits [batch], of several `heads` [batch, heads].

    `sparse_arch` turns the ids into embeddings [batch, fields, dim].
    """

    sparse_arch: SparseArch

    @abstractmethod
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.heads = spec.heads

    @abstractmethod
    def forward(self, dense: Tensor, ids: Tensor) -> Tensor: ...

    @property
    @abstractmethod
    def last_layer(self) -> nn.Linear:
        """The one whose outputs are the logits."""

    def parameter_groups(self) -> ParameterGroups:
        """Every parameter in exactly one group, which the trainer checks."""
        sparse = [parameter for parameter in self.sparse_arch.parameters() if parameter.dim()]
        known = set(map(id, sparse))
        return ParameterGroups([parameter for parameter in self.parameters() if id(parameter) not in known], sparse)


class Scorer(nn.Module):
    """What is exported: a model whose answers are probabilities, [batch] each.

    It takes those of the tensors that have columns, by name. Weights are called `dlrm.` and their name in files.
    """

    def __init__(self, dlrm: Answering) -> None:
        super().__init__()
        self.dlrm = dlrm
        self.heads = dlrm.heads

    def forward(self, dense: Tensor | None = None, ids: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        given = ids if dense is None else dense
        assert given is not None
        nothing = given.new_empty(given.shape[0], 0)
        logits = self.dlrm(nothing if dense is None else dense, nothing if ids is None else ids)
        return tuple(probability_columns(logits, self.heads)) if self.heads else torch.sigmoid(logits)
