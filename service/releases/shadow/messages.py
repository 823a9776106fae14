"""What a shadow is shown and what it says: messages of many rows over a socket."""

import struct
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.models.base import FLOAT_BYTES
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.spec import ModelSpec

# Differences in probability: rounding, precision, and those that a user would see.
DIFFERENCES = (0.0001, 0.001, 0.01, 0.1)
MESSAGE_BYTES = 64 << 10
# So many messages' rows may wait; what comes then is dropped.
BACKLOG_MESSAGES = 8
_LIVE = struct.Struct("<q")


class Comparison(NamedTuple):
    """What a shadow made of rows beside version `live`; differences are its scores less those.

    Of a row with several answers it is the largest difference.

    `above` counts the rows that differ by more than each of `DIFFERENCES`.
    """

    live: int
    rows: int
    not_finite: int
    failed: int
    absolute: float
    signed: float
    above: tuple[int, ...]

    @classmethod
    def unpack(cls, message: bytes) -> "Comparison":
        live, rows, not_finite, failed, absolute, signed, *above = _COMPARISON.unpack(message)
        return cls(live, rows, not_finite, failed, absolute, signed, tuple(above))

    def pack(self) -> bytes:
        *values, above = self
        return _COMPARISON.pack(*values, *above)


_COMPARISON = struct.Struct(f"<qIIIdd{len(DIFFERENCES)}I")
COMPARISON_BYTES = _COMPARISON.size


class Backlog:
    """Scored rows that wait for a shadow, to go in messages of many so that neither side wakes the other for each.

    The arrays of requests are kept as they are until a message is made of them: per batch, that is next to nothing.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._inputs = spec.inputs
        self._message_rows = max(MESSAGE_BYTES // _row_bytes(spec), 1)
        self._batches: deque[_Scored] = deque()
        self.rows = 0

    @property
    def fills_a_message(self) -> bool:
        return self.rows >= self._message_rows

    def add(self, live: int, parts: Sequence[Batch], scores: Floats) -> bool:
        """Add a batch, made of these parts, and what version `live` made of it. Returns whether there was room."""
        if self.rows >= BACKLOG_MESSAGES * self._message_rows:
            return False
        self._batches.append(_Scored(live, parts, scores))
        self.rows += len(scores)
        return True

    def take(self) -> "Message":
        """The rows that have waited longest, of one live version and at most a message."""
        batches = [self._batches.popleft()]
        live, _, scores = batches[0]
        rows = len(scores)
        while rows < self._message_rows and self._batches and self._batches[0].live == live:
            batches.append(self._batches.popleft())
            rows += len(batches[-1].scores)
        parts = [part for batch in batches for part in batch.parts]
        joined = Batch._make(
            _joined([part[i] for part in parts], tensor.dtype) for i, tensor in enumerate(self._inputs)
        )
        scores = _joined([batch.scores for batch in batches], np.float32)
        if (end := self._message_rows) < rows:
            self._batches.appendleft(_Scored(live, [joined.part(end, rows)], scores[end:]))
        rows = min(rows, end)
        self.rows -= rows
        content = (*joined.part(0, rows), scores[:rows])
        return Message(live, rows, (_LIVE.pack(live), *(array.data for array in content)))

    def clear(self) -> list[tuple[int, int]]:
        """Forget all rows. Returns how many there were, by live version."""
        forgotten = [(batch.live, len(batch.scores)) for batch in self._batches]
        self._batches.clear()
        self.rows = 0
        return forgotten


class _Scored(NamedTuple):
    live: int
    parts: Sequence[Batch]
    scores: Floats


class Message(NamedTuple):
    """What version `live` made of some rows, as the bytes that go to a shadow, in parts."""

    live: int
    rows: int
    content: Sequence[bytes | memoryview]


def _joined(arrays: list[npt.NDArray[Any]], kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """One after the other, as their bytes are to be. What is left of a large batch is not copied for every message."""
    return np.ascontiguousarray(arrays[0] if len(arrays) == 1 else np.concatenate(arrays), kind)


def max_bytes(spec: ModelSpec) -> int:
    """The longest message there is."""
    return MESSAGE_BYTES + _row_bytes(spec) + _LIVE.size


def unpacked(spec: ModelSpec, message: bytes) -> tuple[int, Batch, Floats]:
    """What version made which scores of which rows, from the bytes of a message."""
    rows = (len(message) - _LIVE.size) // _row_bytes(spec)
    at, tensors = _LIVE.size, []
    for tensor in spec.inputs:
        array = np.frombuffer(message, tensor.dtype, rows * tensor.width, at)
        tensors.append(array.reshape(rows, tensor.width))
        at += array.nbytes
    scores = np.frombuffer(message, np.float32, offset=at)
    (live,) = _LIVE.unpack_from(message)
    return live, Batch._make(tensors), scores.reshape(rows, -1) if spec.heads else scores


def _row_bytes(spec: ModelSpec) -> int:
    """A row and its scores."""
    return sum(tensor.row_bytes for tensor in spec.inputs) + len(spec.outputs) * FLOAT_BYTES
