"""Modules in the form in which they are exported, so that the models themselves know nothing of ONNX.

A form computes what the module does, in operators that ONNX Runtime runs faster, or, for the lookup, in the one that
is ours.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from thimble.export.artifact.replaced import replaced
from thimble.models.bags import Bag, widths
from thimble.models.hashing import LOW
from thimble.models.nn.dlrm import InteractionArch
from thimble.models.nn.hashing import Hashes, of_fields
from thimble.models.nn.layers import Projection
from thimble.models.nn.pooling import BagPooling
from thimble.models.nn.shared_memory import FieldEmbedding, FieldEmbeddingBag, SharedMemory
from thimble.models.nn.transforms import PositiveLog
from thimble.models.schemes.base import OP_DOMAIN, OP_NAME, bag_attributes

symbolic = torch.onnx.ops.symbolic


class OnnxPositiveLog(nn.Module):
    """`PositiveLog` with one operator for what is missing and what is negative."""

    def forward(self, dense: Tensor) -> Tensor:
        positive = symbolic("ThresholdedRelu", (dense,), attrs={"alpha": 0.0}, dtype=dense.dtype, shape=dense.shape)
        return torch.log(positive + 1)


class OnnxInteractionArch(InteractionArch):
    """`InteractionArch`; the exporter would take one operator more to put the shape of the triangles together."""

    def triangles(self, row: Tensor) -> Tensor:
        batch_1 = symbolic("Shape", (row,), attrs={"end": 2}, dtype=torch.int64, shape=(2,))
        shape = (row.shape[0], len(self.triangle))
        return symbolic("Expand", (self.triangle, batch_1), dtype=torch.int64, shape=shape)


class OnnxSharedMemory(nn.Module):
    """`SharedMemory` as one node of our own operator, for all its fields, or for some of which none is a bag.

    Hot rows bring it two inputs more, and bags two attributes.
    """

    constants: Tensor
    keys: Tensor | None
    directory: Tensor | None

    def __init__(self, shared: SharedMemory, fields: Tensor | None = None) -> None:
        super().__init__()
        self.memory = shared.memory
        self.register_buffer("constants", of_fields(shared.constants, fields))
        self.register_buffer("keys", shared.hot.keys if shared.hot else None)
        directory = torch.from_numpy(shared.hot.directory.tensor()) if shared.hot else None
        self.register_buffer("directory", None if directory is None else of_fields(directory, fields))
        self.dim = shared.dim
        bags = bag_attributes(shared.bags) if fields is None else {}
        self.attributes: dict[str, Any] = {**shared.scheme.op_attributes(shared.dim), **bags}
        if shared.bits:
            self.attributes |= {"bits": shared.bits, "step": shared.step.item()}

    def forward(self, ids: Tensor) -> Tensor:
        return symbolic(
            f"{OP_DOMAIN}::{OP_NAME}",
            (ids, self.memory, self.constants, *([] if self.keys is None else [self.keys, self.directory])),
            attrs=self.attributes,
            dtype=torch.float32,
            shape=(ids.shape[0], self.constants.shape[1], self.dim),
            version=1,
        )


class OnnxFieldEmbedding(nn.Module):
    """`FieldEmbedding` as a node that looks up one field."""

    def __init__(self, view: FieldEmbedding) -> None:
        super().__init__()
        self.dim = view.embedding_dim
        self.lookup = OnnxSharedMemory(view.memory, view.field)

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.lookup(ids.reshape(-1, 1))
        return found.reshape(*ids.shape, self.dim)


class OnnxFieldEmbeddingBag(nn.Module):
    """`FieldEmbeddingBag` for ids [batch, values], which are looked up one by one."""

    def __init__(self, view: FieldEmbeddingBag) -> None:
        super().__init__()
        self.embedding = OnnxFieldEmbedding(view)
        self.how = view.bag.pooling

    def forward(self, ids: Tensor) -> Tensor:
        there = (ids != 0).unsqueeze(2)
        read, count = self.embedding(ids), there.sum(1)  # [batch, values, dim] and [batch, 1]
        if self.how == "max":
            return torch.where(count > 0, read.where(there, -torch.inf).amax(1), 0)
        total: Tensor = read.where(there, 0).sum(1)
        return total / count.clamp(min=1) if self.how == "mean" else total


class OnnxHashes(nn.Module):
    """`Hashes` with one operator for the shift, for which the exporter takes seven: ids are never negative."""

    constants: Tensor
    low_range: Tensor

    def __init__(self, plain: Hashes) -> None:
        super().__init__()
        self.prime = plain.prime
        self.register_buffer("constants", plain.constants)
        self.register_buffer("low_range", torch.tensor(LOW))

    def forward(self, ids: Tensor, fields: Tensor | None = None) -> Tensor:
        a, b, s = of_fields(self.constants, fields).unbind()
        low = ids % self.low_range
        high = symbolic("Div", (ids, self.low_range), dtype=ids.dtype, shape=ids.shape)
        hashed: Tensor = (low.unsqueeze(-1) * a + high.unsqueeze(-1) * b + s) % self.prime
        return hashed


class OnnxBagPooling(BagPooling):
    """`BagPooling` of the rows of a table, all of which are read before any is pooled. A bag's zeros read a row too."""

    def __init__(self, plain: BagPooling) -> None:
        super().__init__(plain.bags)

    def looked_up(self, table: Tensor, rows_of: Callable[[Tensor, Tensor], Tensor], ids: Tensor) -> Tensor:
        read = nn.functional.embedding(rows_of(ids, self.columns), table).float()  # [batch, slots, dim]
        columns = widths(self.bags)
        there = torch.split(self.there(ids).unsqueeze(2), columns, dim=1)
        return torch.cat([*map(_pooled, self.bags, torch.split(read, columns, dim=1), there)], dim=1)


def _pooled(bag: Bag | None, read: Tensor, there: Tensor) -> Tensor:
    """[batch, values, dim] and which of them are there, [batch, values, 1] -> [batch, 1, dim]."""
    if bag is None:
        return read
    count = there.sum(1, keepdim=True)
    if bag.pooling == "max":
        return torch.where(count > 0, torch.where(there, read, -torch.inf).amax(1, keepdim=True), 0)
    total = torch.where(there, read, 0).sum(1, keepdim=True)
    return total / count.clamp(min=1) if bag.pooling == "mean" else total


class OnnxProjection(nn.Module):
    """`Projection` as the one node that a layer with a bias is, so that its precision is lowered as theirs is."""

    def __init__(self, plain: Projection) -> None:
        super().__init__()
        self.weight = plain.weight

    def forward(self, x: Tensor) -> Tensor:
        shape = (x.shape[0], self.weight.shape[0])
        return symbolic("Gemm", (x, self.weight), attrs={"transB": 1}, dtype=x.dtype, shape=shape)


FORMS: dict[type[nn.Module], Callable[..., nn.Module]] = {
    PositiveLog: lambda _: OnnxPositiveLog(),
    InteractionArch: lambda plain: OnnxInteractionArch(plain.fields),
    SharedMemory: OnnxSharedMemory,
    FieldEmbedding: OnnxFieldEmbedding,
    FieldEmbeddingBag: OnnxFieldEmbeddingBag,
    Hashes: OnnxHashes,
    BagPooling: OnnxBagPooling,
    Projection: OnnxProjection,
}


def for_export(module: nn.Module) -> nn.Module:
    """The same module with all parts that have a form for the export in it. Weights are shared, not copied."""

    def form(part: nn.Module) -> nn.Module | None:
        return FORMS[type(part)](part) if type(part) in FORMS else None

    return replaced(module, form)
