"""One memory that all fields of a model share, in torch."""

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from thimble.models.bags import Bag
from thimble.models.hashing import Floats
from thimble.models.inputs import Categorical
from thimble.models.nn.hashing import hashes, of_fields
from thimble.models.nn.hot_rows import HotSlots
from thimble.models.nn.pooling import BagPooling, Present, Reads
from thimble.models.nn.quantization import Quantizer, dequantized
from thimble.models.nn.touched_rows import touched_rows
from thimble.models.presets import MEMORY_PRECISION, chunk_for
from thimble.models.quantization import BITS, MemoryPrecision, is_quantized, quantize
from thimble.models.schemes.base import HashedEmbedding, Sizes
from thimble.models.schemes.block import BlockEmbedding


class SharedMemory(nn.Module):
    """One trainable array that every field reads in chunks at hashed places (`thimble.models.hashing`).

    It maps ids [batch, slots] to embeddings [batch, fields, dim]. In a module of somebody's own, `embedding` and
    `embedding_bag` are for one field each, in the place of `torch.nn.Embedding` and `torch.nn.EmbeddingBag`.

    With `sparse_gradients` the array's gradient is sparse and holds only what a batch touched; chunks must be rows.
    """

    memory: Tensor
    constants: Tensor
    step: Tensor

    def __init__(
        self, scheme: HashedEmbedding, fields: Sequence[Categorical], dim: int, precision: MemoryPrecision = "fp32"
    ) -> None:
        super().__init__()
        self.map = scheme.hash_map(dim)
        self.scheme = scheme
        self.fields = tuple(fields)
        self.dim = dim
        self.precision = precision
        self.bags = tuple(field.bag for field in fields)
        self.pooling = BagPooling(self.bags) if any(self.bags) else None
        self.sparse_gradients = False
        self.bits: int | None = None
        # Uniform(+-sqrt(1 / max rows)) is the authors' initialisation of the array.
        bound = math.sqrt(1 / max(field.rows for field in fields))
        self.memory = nn.Parameter(torch.empty(scheme.memory_shape).uniform_(-bound, bound))
        self.register_buffer("constants", torch.from_numpy(self.map.constants))
        self.quantizer = Quantizer(BITS[precision]) if is_quantized(precision) else None
        self.hot: HotSlots | None = None
        if isinstance(scheme, BlockEmbedding) and scheme.hot:
            self.hot = HotSlots(scheme.hot, self.map.slots, self.constants.shape[2])

    @classmethod
    def create(
        cls,
        fields: Sequence[Categorical],
        dim: int,
        memory_bytes: int,
        *,
        precision: MemoryPrecision = MEMORY_PRECISION,
        chunk: int | None = None,
        seed: int = 0,
    ) -> Self:
        """An untrained one of the scheme `block`, for a module of somebody's own. ValueError: too few bytes, no fields.

        It takes at most `memory_bytes` in a file of this precision.
        """
        chunk = chunk or chunk_for(dim)
        scheme = BlockEmbedding.create("block", Sizes(fields, dim, memory_bytes, precision, chunk, seed))
        scheme.check_precision(precision)
        return cls(scheme, fields, dim, precision)

    def embedding(self, field: str) -> "FieldEmbedding":
        """A field's, ids of any shape [...] -> [..., dim]. ValueError: there is no such field."""
        return FieldEmbedding(self, self._place(field))

    def embedding_bag(self, field: str) -> "FieldEmbeddingBag":
        """A field's, pooled as its bag says. ValueError: there is no such field, or it has no bag."""
        place = self._place(field)
        if (bag := self.bags[place]) is None:
            raise ValueError(f"{field} is single-valued; give it a bag, or take its embedding")
        return FieldEmbeddingBag(self, place, bag)

    def _place(self, field: str) -> int:
        names = [it.name for it in self.fields]
        if field not in names:
            raise ValueError(f"the memory has no field {field!r}; it has {', '.join(names)}")
        return names.index(field)

    def hashed_slots(self, ids: Tensor, fields: Tensor | None = None) -> Tensor:
        """ids [batch, fields] -> where chunks of ids without a hot row lie, [batch, fields, chunks].

        They may be in other columns than one a field, if `fields` says whose these are.
        """
        return hashes(ids, of_fields(self.constants, fields), self.map.prime) % self.map.slots

    def _slots(self, ids: Tensor, fields: Tensor | None = None) -> Tensor:
        """The same for all ids."""
        slots = self.hashed_slots(ids, fields)
        return self.hot(ids, slots, fields) if self.hot else slots

    def forward(self, ids: Tensor) -> Tensor:
        return self.pooled(self.pooling, self.pooling.present(ids)) if self.pooling else self.single(ids)

    def single(self, ids: Tensor, fields: Tensor | None = None) -> Tensor:
        """ids [batch, fields], or of columns whose `fields` are these, -> [batch, fields, dim], none of them pooled."""
        slots = self._slots(ids, fields)
        width = slots.shape[2] * self.scheme.chunk_size
        if self.memory.dim() == 1:  # a chunk starts anywhere, else it is a row
            slots = slots.unsqueeze(-1) + torch.arange(self.scheme.chunk_size, device=ids.device)
        joined = self._read(slots.flatten()).view(*ids.shape, width)
        return joined[..., : self.dim].float()

    def pooled(self, pooling: BagPooling, present: Present, fields: Tensor | None = None) -> Tensor:
        """The ids that rows have -> [batch, fields, dim], whose fields of the memory are `fields` [ids], or these."""
        slots = self._slots(present.ids.unsqueeze(0), present.fields if fields is None else fields)
        reads = Reads.of(slots[0].t(), len(self.memory))
        pooled: Tensor = pooling(self._chunks(reads.touched), reads, present)
        return pooled[..., : self.dim]

    def _read(self, slots: Tensor) -> Tensor:
        """[n] -> their weights [n, width]. What several ids read is rounded, and its gradient added up, once."""
        if self.bits:
            return dequantized(self.memory.index_select(0, slots), self.step, self.bits)
        if not (self.sparse_gradients or self.quantizer):
            # index_select's dense backward is several times faster than an embedding's on CPU
            return self.memory.index_select(0, slots)
        touched, read = slots.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        return self._rows(touched).index_select(0, read)

    def _rows(self, touched: Tensor) -> Tensor:
        """Different rows that are trained, [n] -> [n, width]."""
        weights = touched_rows(self.memory, touched) if self.sparse_gradients else self.memory.index_select(0, touched)
        return self.quantizer(weights) if self.quantizer else weights

    def _chunks(self, slots: Tensor) -> Tensor:
        """Different chunks, by their places in ascending order, [n] -> float32 [n, chunk]."""
        if self.bits:
            return dequantized(self.memory.index_select(0, slots), self.step, self.bits)
        if self.memory.dim() == 1:
            within = torch.arange(self.scheme.chunk_size, device=slots.device)
            return self.memory.index_select(0, (slots.unsqueeze(1) + within).flatten()).view(-1, len(within)).float()
        return self._rows(slots).float()

    def quantize(self, step: float, bits: int) -> None:
        """Hold the weights as a file does, in integers, which are trained no more."""
        weights: Floats = self.memory.numpy(force=True)
        del self.memory
        self.register_buffer("memory", torch.from_numpy(quantize(weights, np.float32(step), bits)))
        self.register_buffer("step", torch.tensor(step, dtype=torch.float32))
        self.bits, self.quantizer = bits, None


class FieldEmbedding(nn.Module):
    """One field of a shared memory, where a module of somebody's own has an `nn.Embedding`: [...] -> [..., dim]."""

    field: Tensor

    def __init__(self, memory: SharedMemory, place: int) -> None:
        super().__init__()
        self.memory = memory
        self.num_embeddings, self.embedding_dim = memory.fields[place].rows, memory.dim
        self.register_buffer("field", torch.tensor([place]), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.memory.single(ids.reshape(-1, 1), self.field).reshape(*ids.shape, self.embedding_dim)


class FieldEmbeddingBag(FieldEmbedding):
    """The same where it has an `nn.EmbeddingBag` with `padding_idx=0`.

    ids [batch, values], in which 0 is none, -> [batch, dim]; or ids [n] of bags that begin at `offsets` [batch].
    """

    def __init__(self, memory: SharedMemory, place: int, bag: Bag) -> None:
        super().__init__(memory, place)
        self.bag = bag
        self.pooling = BagPooling([bag])

    def forward(self, ids: Tensor, offsets: Tensor | None = None) -> Tensor:
        there = ids != 0
        if offsets is None:
            lengths = there.sum(1)
        else:
            bags = torch.searchsorted(offsets, torch.arange(len(ids), device=ids.device), right=True) - 1
            lengths = torch.bincount(bags[there], minlength=len(offsets))
        read = ids[there]
        present = Present(read, torch.zeros_like(read), lengths.unsqueeze(1))
        return self.memory.pooled(self.pooling, present, self.field.expand(len(read)))[:, 0]
