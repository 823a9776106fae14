"""What generated clicks depend on: a factorisation machine whose weights follow from the ids by a hash."""

import numpy as np

from thimble.export.clicks.zipf import Doubles
from thimble.models.bags import Pooling
from thimble.models.hashing import Floats, Int64s

LATENT = 3


class Interactions:
    """Logits of rows, to which one field after the other adds effects of its own and interactions with all others."""

    def __init__(self, of_numbers: Doubles) -> None:
        """`of_numbers` are the logits as they are without any field, [rows]."""
        rows = len(of_numbers)
        self._own = of_numbers.copy()
        self._total, self._squares = np.zeros((rows, LATENT)), np.zeros((rows, LATENT))

    def add(self, ids: Int64s, salt: np.uint64, weight: Doubles) -> None:
        """A field's ids [rows], and how much each of them says, [rows]."""
        self._add(effects(ids, salt) * weight[:, None])

    def add_bags(self, ids: Int64s, salt: np.uint64, weights: Doubles, pooling: Pooling) -> None:
        """Of a field whose bags are full, [rows, values]. What one says is that of its ids, pooled.

        A sum or a mean is scaled to vary as much as what one id says.
        """
        effect = effects(ids.ravel(), salt).reshape(*ids.shape, -1) * weights[..., None]
        pooled = effect.max(axis=1) if pooling == "max" else effect.sum(axis=1) / np.sqrt(ids.shape[1])
        self._add(pooled)

    def _add(self, effect: Doubles) -> None:
        """A field's, [rows, 1 + LATENT]."""
        self._own += effect[:, 0]
        self._total += effect[:, 1:]
        self._squares += effect[:, 1:] ** 2

    def logits(self) -> Doubles:
        """[rows]: all effects, and the products of all pairs of fields."""
        pairs: Doubles = 0.5 * (self._total**2 - self._squares).sum(axis=1)
        return self._own + pairs


def effects(ids: Int64s, salt: np.uint64) -> Floats:
    """1 + LATENT numbers of mean 0 and variance 1 for each id, the same whenever the id comes."""
    lanes = mixed(ids, salt).view(np.uint16).reshape(-1, 4)
    drawn: Floats = ((lanes.astype(np.float32) + 0.5) / 65536 - 0.5).astype(np.float32, copy=False)
    return drawn * np.float32(12**0.5)


def uniform(ids: Int64s, salt: np.uint64) -> Doubles:
    """A number from 0 to 1 for each id, the same whenever the id comes."""
    return (mixed(ids, salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mixed(ids: Int64s, salt: np.uint64) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """64 bits for each id: splitmix64 (Steele et al., OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + salt
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return z


def coprime(start: int, n: int) -> int:
    """The first number from `start` on that shares no factor with n, so that multiplying by it permutes 0..n-1."""
    start %= n
    while np.gcd(start, n) != 1:
        start += 1
    return start
