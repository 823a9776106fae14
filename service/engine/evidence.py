"""What speaks against a version: rows for which it gave no finite score."""

from collections import Counter
from collections.abc import Hashable

import numpy as np
import numpy.typing as npt
import xxhash

from thimble.models.features import Batch
from thimble.models.hashing import Floats

# A version is under suspicion when so many of the latest requests got no finite score, each for another row, of which
# one client's count for a third at most: what one or two clients send cannot take a version from all others.
WINDOW_REQUESTS = 1000
CLIENTS, OF_EACH = 3, 4


def finite_rows(scores: Floats) -> npt.NDArray[np.bool_]:
    """Which rows have numbers for scores, bool [rows], of scores [rows], or of several answers [rows, heads]."""
    finite: npt.NDArray[np.bool_] = np.isfinite(scores)
    if finite.ndim > 1:
        finite = np.all(finite, axis=1)
    return finite


class Evidence:
    """The rows of the latest requests that speak against a version; at most as many as it takes."""

    def __init__(self) -> None:
        self._requests = 0
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._rows: dict[int, Batch] = {}
        self._of_client: Counter[Hashable] = Counter()

    def count(self, requests: int) -> None:
        """So many requests were scored, well or not."""
        self._requests += requests
        if self._requests >= WINDOW_REQUESTS:
            self._requests = 0
            self.clear()

    def add(self, row: Batch, source: Hashable) -> Batch | None:
        """A client's request got no finite score, because of this row.

        Returns all such rows, [rows, width] each tensor, once they suffice. The same row sent again adds nothing.
        """
        key = xxhash.xxh3_64_intdigest(b"".join(tensor.tobytes() for tensor in row))
        if key in self._rows or self._of_client[source] >= OF_EACH:
            return None
        self._of_client[source] += 1
        self._rows[key] = Batch._make(tensor.copy() for tensor in row)
        return Batch.joined([*self._rows.values()]) if len(self._rows) >= CLIENTS * OF_EACH else None
