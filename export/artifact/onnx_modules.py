"""Modules in the form in which they are exported, so that the models themselves know nothing of ONNX.

A form computes what the module does, in operators that ONNX Runtime runs faster, or, for the lookup, in the one that
is ours.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from thimble.export.artifact.replaced import replaced
from thimble.models.hashing import LOW
from thimble.models.nn.dlrm import InteractionArch
from thimble.models.nn.embeddings import SharedMemory
from thimble.models.nn.hashing import Hashes
from thimble.models.nn.layers import Projection
from thimble.models.nn.transforms import PositiveLog
from thimble.models.schemes.base import OP_DOMAIN, OP_NAME

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
    """`SharedMemory` as one node of our own operator. Hot rows bring it two inputs more."""

    constants: Tensor
    keys: Tensor | None
    directory: Tensor | None

    def __init__(self, shared: SharedMemory) -> None:
        super().__init__()
        self.memory = shared.memory
        self.register_buffer("constants", shared.constants)
        self.register_buffer("keys", shared.hot.keys if shared.hot else None)
        directory = torch.from_numpy(shared.hot.directory.tensor()) if shared.hot else None
        self.register_buffer("directory", directory)
        self.dim = shared.dim
        self.attributes: dict[str, Any] = {**shared.embedding.op_attributes(shared.dim)}
        if shared.bits:
            self.attributes |= {"bits": shared.bits, "step": shared.step.item()}

    def forward(self, ids: Tensor) -> Tensor:
        return symbolic(
            f"{OP_DOMAIN}::{OP_NAME}",
            (ids, self.memory, self.constants, *([] if self.keys is None else [self.keys, self.directory])),
            attrs=self.attributes,
            dtype=torch.float32,
            shape=(*ids.shape, self.dim),
            version=1,
        )


class OnnxHashes(nn.Module):
    """`Hashes` with one operator for the shift, for which the exporter takes seven: ids are never negative."""

    constants: Tensor
    low_range: Tensor

    def __init__(self, plain: Hashes) -> None:
        super().__init__()
        self.prime = plain.prime
        self.register_buffer("constants", plain.constants)
        self.register_buffer("low_range", torch.tensor(LOW))

    def forward(self, ids: Tensor) -> Tensor:
        a, b, s = self.constants.unbind()
        low = ids % self.low_range
        high = symbolic("Div", (ids, self.low_range), dtype=ids.dtype, shape=ids.shape)
        hashed: Tensor = (low.unsqueeze(-1) * a + high.unsqueeze(-1) * b + s) % self.prime
        return hashed


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
    Hashes: OnnxHashes,
    Projection: OnnxProjection,
}


def for_export(module: nn.Module) -> nn.Module:
    """The same module with all parts that have a form for the export in it. Weights are shared, not copied."""

    def form(part: nn.Module) -> nn.Module | None:
        return FORMS[type(part)](part) if type(part) in FORMS else None

    return replaced(module, form)
