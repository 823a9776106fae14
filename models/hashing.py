"""Where an id's embedding lies in the shared memory. Every backend must equal these numpy definitions bit for bit.

All schemes are one family. An id (0 <= id < 2^60) is split as lo = id mod 2^30, hi = id div 2^30, and chunk c of
field f starts at

    start[f, c] = stride * (((lo * a[f, c] + hi * b[f, c] + s[f, c]) mod prime) mod slots)

With a, b and s below 2^31 the sum stays below 2^62, so int64 never overflows.

- `block`, ours: prime 2^31 - 1, slots = M / Z, stride = Z, and a, b, s drawn independently for every field and chunk.
- `robe-v1` and `robe-v2`, the authors' (ROBE, MLSys 2022): one multiplier for all fields, stride 1, unaligned. Their
  formulas over x = offset[f] + id are rewritten into a, b and s by `robe_constants`; modulo the prime they are equal.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thimble.models.spec import BlockEmbedding, FullEmbedding, ModelSpec, RobeEmbedding

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]

ID_BITS = 60
ID_LIMIT = 1 << ID_BITS
LOW_BITS = 30
LOW = 1 << LOW_BITS

BLOCK_PRIME = (1 << 31) - 1
ROBE_PRIME = 2038074743
# R1, R2, R3 as the authors' code draws them from its default seed 1024.
ROBE_CONSTANTS = (634329019, 1825252241, 871205356)


@dataclass(frozen=True)
class HashMap:
    """One scheme made concrete for one model. `constants` is int64 [3, fields, chunks]: a, b and s."""

    prime: int
    slots: int
    stride: int
    constants: Int64s

    def starts(self, ids: Int64s) -> Int64s:
        """ids [batch, fields] -> the first memory index of every chunk, [batch, fields, chunks]."""
        a, b, s = self.constants
        low, high = (ids & (LOW - 1))[..., None], (ids >> LOW_BITS)[..., None]
        starts: Int64s = (low * a + high * b + s) % self.prime % self.slots * self.stride
        return starts


def block_constants(seed: int, fields: int, chunks: int) -> Int64s:
    """Random a, b, s in [1, 2^31 - 1), int64 [3, fields, chunks]."""
    return np.random.default_rng(seed).integers(1, BLOCK_PRIME, size=(3, fields, chunks), dtype=np.int64)


def robe_constants(embedding: RobeEmbedding, chunks: int) -> Int64s:
    """The published maps as a, b, s, int64 [3, fields, chunks].

    v1: start = ((x * R3 + c * R2 + R1) mod P) mod (M - Z + 1)
    v2: start = ((x * R1 + (c + 1) * R2 + R3) mod P) mod (M - Z)
    """
    r1, r2, r3 = embedding.constants
    multiplier, first, shift = (r3, 0, r1) if embedding.scheme == "robe-v1" else (r1, 1, r3)
    s = [
        [(offset * multiplier + (c + first) * r2 + shift) % ROBE_PRIME for c in range(chunks)]
        for offset in embedding.offsets
    ]
    a = np.full((len(embedding.offsets), chunks), multiplier % ROBE_PRIME, dtype=np.int64)
    b = np.full_like(a, LOW * multiplier % ROBE_PRIME)
    return np.stack([a, b, np.array(s, dtype=np.int64)])


def hash_map(spec: ModelSpec) -> HashMap:
    """The map of a model. ValueError for full tables, which have none."""
    match spec.embedding:
        case BlockEmbedding(memory_length=memory, chunk_size=chunk) as block:
            constants = np.array([block.a, block.b, block.s], dtype=np.int64)
            return HashMap(BLOCK_PRIME, memory // chunk, chunk, constants)
        case RobeEmbedding(scheme=scheme, memory_length=memory, chunk_size=chunk) as robe:
            slots = memory - chunk + 1 if scheme == "robe-v1" else memory - chunk
            return HashMap(ROBE_PRIME, slots, 1, robe_constants(robe, spec.chunks))
        case FullEmbedding():
            raise ValueError("full tables are not hashed")


def lookup(spec: ModelSpec, memory: Floats | Halves, ids: Int64s) -> Floats:
    """ids [batch, fields] -> embeddings [batch, fields, embedding_dim], read from the flat memory [M].

    They are float32; what a float16 memory holds is widened, which changes no value.
    """
    if isinstance(spec.embedding, FullEmbedding):
        raise ValueError("full tables are not hashed")
    chunk = spec.embedding.chunk_size
    positions = hash_map(spec).starts(ids)[..., None] + np.arange(chunk)  # [batch, fields, chunks, chunk]
    wide = memory[positions].reshape(*ids.shape, spec.chunks * chunk)
    embeddings: Floats = wide[..., : spec.embedding_dim].astype(np.float32)
    return embeddings
