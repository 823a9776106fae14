"""Where an id's embedding lies in the shared memory. Every backend must equal this numpy definition bit for bit.

All schemes (`thimble.models.schemes`) are one family. An id (0 <= id < 2^60) is split as lo = id mod 2^30,
hi = id div 2^30, and chunk c of field f starts at

    start[f, c] = stride * (((lo * a[f, c] + hi * b[f, c] + s[f, c]) mod prime) mod slots)

With a, b and s below 2^31 the sum stays below 2^62, so int64 never overflows.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

ID_BITS = 60
ID_LIMIT = 1 << ID_BITS
LOW_BITS = 30
LOW = 1 << LOW_BITS


@dataclass(frozen=True)
class HashMap:
    """One scheme made concrete for one model. `constants` is int64 [3, fields, chunks]: a, b and s."""

    prime: int
    slots: int
    stride: int
    constants: Int64s

    def starts(self, ids: Int64s) -> Int64s:
        """ids [batch, fields] -> the first memory index of every chunk, [batch, fields, chunks]."""
        starts: Int64s = hashes(ids, self.constants, self.prime) % self.slots * self.stride
        return starts


def hashes(ids: Int64s, constants: Int64s, prime: int) -> Int64s:
    """ids [batch, fields] and constants [3, fields, n] -> (lo * a + hi * b + s) mod prime, [batch, fields, n]."""
    a, b, s = constants
    low, high = (ids & (LOW - 1))[..., None], (ids >> LOW_BITS)[..., None]
    hashed: Int64s = (low * a + high * b + s) % prime
    return hashed
