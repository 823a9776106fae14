"""The ROBE authors' fork apd10/dlrm at 2a28f0d, with apd10/universal_memory_allocation at d685e03.

    git clone https://github.com/apd10/dlrm SOURCES/apd10-dlrm
    git -C SOURCES/apd10-dlrm checkout 2a28f0d
    git clone https://github.com/apd10/universal_memory_allocation SOURCES/universal_memory_allocation
    git -C SOURCES/universal_memory_allocation checkout d685e03
    pip install scikit-learn scipy tensorboard

The script and the classes are theirs. Their CUDA kernel needs a GPU; in its place the same map is computed by torch.
The class with the second map is in another package of theirs, and is made here from its formula.
"""

import importlib
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.importing.checkpoints import (
    CHECKPOINT,
    FIELDS,
    TABLE_ROWS,
    Variant,
    row_numbers,
    scored_rows,
    stir,
    write_rows,
)
from benchmarks.importing.facebook import run_script, scores

PRIME = 2038074743


class Robe(NamedTuple):
    """The class of embeddings, how many weights there are, and how many of them lie together."""

    of: str
    weights: int
    chunk: int


def _kernel(robe: Robe) -> Variant:
    return Variant(robe, ("--chunk", str(robe.chunk)), "its own code, the CUDA kernel's map in torch")


VARIANTS = {
    "HashedEmbeddingBag, Z = 4": _kernel(Robe("gpu", 515, 4)),
    "HashedEmbeddingBag, Z = 1": _kernel(Robe("gpu", 515, 1)),
    "HashedEmbeddingBag, Z = 3, which does not divide the width": _kernel(Robe("gpu", 514, 3)),
    "HashedEmbeddingCPU, Z = 4": Variant(Robe("cpu", 515, 4)),
    "RobezEmbedding, Z = 4": Variant(Robe("second map", 515, 4), ("--chunk", "4"), "the documented formula and keys"),
}


class SecondMap(nn.Module):
    """The later class: the array and 11 numbers are all that it keeps."""

    def __init__(self, dim: int, weight: nn.Parameter, offset: int, chunk: int) -> None:
        super().__init__()
        self.dim, self.offset, self.chunk = dim, offset, chunk
        self.weight = weight
        drawn = np.random.RandomState(1024).randint(0, PRIME, 10).astype(np.int64)
        self.random_numbers = nn.Parameter(torch.tensor([PRIME, *drawn.tolist()]), requires_grad=False)

    def forward(self, ids: Tensor, offsets: Tensor, per_sample_weights: None = None) -> Tensor:
        """The rows of ids, one a bag, [ids] -> [ids, dim]."""
        prime, first, second, third = self.random_numbers[:4].tolist()
        place = torch.arange(self.dim)
        hashed = (ids[:, None] + self.offset) * first + (place // self.chunk + 1) * second + third
        rows: Tensor = self.weight[hashed % prime % (len(self.weight) - self.chunk) + place % self.chunk]
        return rows


class KernelInTorch:
    """The module of the CUDA kernel: the first map, sums of bags, and the gradient."""

    @staticmethod
    def forward(weights: Tensor, ids: Tensor, offsets: Tensor, _mode: Any, dim: int, *rest: Any) -> tuple[Tensor, ...]:
        """`rest`: signature, numbers, three modes, use and the chunk."""
        numbers, chunk = rest[1], rest[-1]
        prime, first, second, third = numbers[:4].tolist()
        place = torch.arange(dim)
        hashed = (ids[:, None] * third + (place // chunk) * second + first) % prime
        at = hashed % (len(weights) - chunk + 1) + place % chunk
        bag = torch.bucketize(torch.arange(len(ids)), offsets, right=True) - 1
        sums = torch.zeros(len(offsets), dim, dtype=weights.dtype).index_add_(0, bag, weights[at])
        return sums, bag, bag, bag, at

    @staticmethod
    def backward(grad: Tensor, _ids: Any, _offsets: Any, bag: Tensor, *rest: Any) -> Tensor:
        """`rest`: size, most, places, the array's length, and what is not needed."""
        at, length = rest[2], rest[3]
        return torch.zeros(length, dtype=grad.dtype).index_add_(0, at.reshape(-1), grad[bag].reshape(-1))


def make(variant: str, sources: Path, folder: Path) -> None:
    robe: Robe = VARIANTS[variant].asked
    kernel: Any = KernelInTorch
    sys.modules["hashed_embedding_bag"] = kernel
    # torch has renamed it since
    torch.autograd.function.FunctionCtx.saved_variables = property(lambda ctx: ctx.saved_tensors)  # type: ignore[attr-defined]
    sys.path.insert(0, str(sources / "universal_memory_allocation"))
    module: Any = importlib.import_module("hashedEmbeddingBag")
    on_cpu: Any = importlib.import_module("hashedEmbeddingCPU")
    if robe.of == "cpu":
        module.HashedEmbeddingBag = lambda n, dim, *_, _weight, val_offset, uma_chunk_size, **rest: (
            on_cpu.HashedEmbeddingCPU(n, dim, _weight, val_offset=val_offset, uma_chunk_size=uma_chunk_size)
        )
    elif robe.of == "second map":
        module.HashedEmbeddingBag = lambda n, dim, *_, _weight, val_offset, uma_chunk_size, **rest: SecondMap(
            dim, _weight, val_offset, uma_chunk_size
        )
    asked = ["--is-rma", f"--rma-size={robe.weights}", f"--rma-chunk-size={robe.chunk}"]
    script = run_script(sources / "apd10-dlrm", folder, asked)
    file = torch.load(folder / CHECKPOINT, weights_only=False)
    stir(file["state_dict"], "^hashed_weight$")  # all tables' weights are this array
    torch.save(file, folder / CHECKPOINT)
    script.dlrm.load_state_dict(file["state_dict"])
    rows = scored_rows()
    fields = [{"name": name, "table_rows": length} for name, length in zip(FIELDS, TABLE_ROWS, strict=True)]
    write_rows(folder, rows.columns(), scores(script.dlrm, rows), row_numbers() | {"fields": fields})
