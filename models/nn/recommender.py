"""What every architecture's torch module is."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from thimble.models.nn.embeddings import SparseArch
from thimble.models.spec import ModelSpec


class ParameterGroups(NamedTuple):
    """The parameters by the optimizer that suits them: few of `sparse`, the embeddings, are touched by a batch.

    The step of quantized ones is among the `dense`.
    """

    dense: list[nn.Parameter]
    sparse: list[nn.Parameter]


class Recommender(nn.Module, ABC):
    """dense [batch, numbers] float32 and ids [batch, fields] int64 -> logits [batch].

    `sparse_arch` turns the ids into embeddings [batch, fields, dim].
    """

    sparse_arch: SparseArch

    @abstractmethod
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, dense: Tensor, ids: Tensor) -> Tensor: ...

    @property
    @abstractmethod
    def last_layer(self) -> nn.Linear:
        """The one whose only output is the logit."""

    def parameter_groups(self) -> ParameterGroups:
        """Every parameter in exactly one group, which the trainer checks."""
        sparse = [parameter for parameter in self.sparse_arch.parameters() if parameter.dim()]
        known = set(map(id, sparse))
        return ParameterGroups([parameter for parameter in self.parameters() if id(parameter) not in known], sparse)


class Scorer(nn.Module):
    """What is exported: a model whose answer is a probability. Weights are called `dlrm.` and their name in files.

    It takes those of the tensors that have columns, by name.
    """

    def __init__(self, dlrm: nn.Module) -> None:
        super().__init__()
        self.dlrm = dlrm

    def forward(self, dense: Tensor | None = None, ids: Tensor | None = None) -> Tensor:
        given = ids if dense is None else dense
        assert given is not None
        nothing = given.new_empty(given.shape[0], 0)
        return torch.sigmoid(self.dlrm(nothing if dense is None else dense, nothing if ids is None else ids))
