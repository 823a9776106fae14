"""DLRM (Naumov et al. 2019) in TorchRec's words, preprocessing inside so that training and serving cannot differ."""

import torch
from torch import Tensor, nn

from thimble.models.nn.embeddings import sparse_arch
from thimble.models.spec import ModelSpec, layer_widths


class MLP(nn.Sequential):
    """Linear layers with a ReLU after each, the last one's optional."""

    def __init__(self, inputs: int, widths: list[int], last_relu: bool) -> None:
        layers: list[nn.Module] = []
        for fan_in, fan_out in layer_widths(inputs, widths):
            linear = nn.Linear(fan_in, fan_out)
            nn.init.normal_(linear.weight, std=(2 / (fan_in + fan_out)) ** 0.5)
            nn.init.normal_(linear.bias, std=(1 / fan_out) ** 0.5)
            layers += [linear, nn.ReLU()]
        super().__init__(*(layers if last_relu else layers[:-1]))


class Preprocess(nn.Module):
    """ln(max(x, 0) + 1); a missing number is NaN on the way in and counts as 0."""

    def forward(self, dense: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export():  # one operator for both steps
            positive = torch.onnx.ops.symbolic(
                "ThresholdedRelu", (dense,), attrs={"alpha": 0.0}, dtype=dense.dtype, shape=dense.shape
            )
        else:
            positive = torch.where(dense > 0, dense, 0)  # NaN > 0 is false
        return torch.log(positive + 1)


class InteractionArch(nn.Module):
    """Dot products of all pairs among the dense vector and the embeddings: the strict lower triangle, row by row."""

    triangle: Tensor

    def __init__(self, fields: int) -> None:
        super().__init__()
        rows, columns = torch.tril_indices(fields + 1, fields + 1, offset=-1)
        self.register_buffer("triangle", rows * (fields + 1) + columns, persistent=False)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        row = dense.unsqueeze(1)  # [batch, 1, dim]
        together = torch.cat([row, sparse], dim=1)  # [batch, 1 + fields, dim]
        products = torch.bmm(together, together.transpose(1, 2)).flatten(1)  # [batch, (1 + fields)^2]
        # with index_select the elements of a row take ONNX Runtime several times as long
        interactions = products.gather(1, self._triangles(row))
        return torch.cat([dense, interactions], dim=1)

    def _triangles(self, row: Tensor) -> Tensor:
        """The triangle for each of a batch: [batch, pairs]."""
        shape = (row.shape[0], len(self.triangle))
        if not torch.onnx.is_in_onnx_export():
            return self.triangle.expand(shape)
        # the exporter would take one operator more to put the shape together
        batch_1 = torch.onnx.ops.symbolic("Shape", (row,), attrs={"end": 2}, dtype=torch.int64, shape=(2,))
        return torch.onnx.ops.symbolic("Expand", (self.triangle, batch_1), dtype=torch.int64, shape=shape)


class DLRM(nn.Module):
    """dense [batch, numbers] float32 and ids [batch, fields] int64 -> logits [batch]."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        fields = len(spec.fields)
        self.preprocess = Preprocess()
        self.dense_arch = MLP(len(spec.dense), spec.dense_arch, last_relu=True)
        self.sparse_arch = sparse_arch(spec)
        self.interaction_arch = InteractionArch(fields)
        interactions = spec.embedding_dim + (fields + 1) * fields // 2
        self.over_arch = MLP(interactions, spec.over_arch, last_relu=False)

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        dense_vector = self.dense_arch(self.preprocess(dense))  # [batch, dim]
        embeddings = self.sparse_arch(ids)  # [batch, fields, dim]
        logits: Tensor = self.over_arch(self.interaction_arch(dense_vector, embeddings))
        return logits.squeeze(1)


class Scorer(nn.Module):
    """What is exported: a DLRM whose answer is a probability."""

    def __init__(self, dlrm: DLRM) -> None:
        super().__init__()
        self.dlrm = dlrm

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        return torch.sigmoid(self.dlrm(dense, ids))
