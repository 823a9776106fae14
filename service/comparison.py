"""What a shadow is shown and what it says: messages of many rows over a socket, and the process that answers them."""

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from models.features import Batch
from models.hashing import Floats
from models.spec import ModelSpec
from service.engine import Engine

# Differences in probability: rounding, precision, and those that a user would see.
DIFFERENCES = (0.0001, 0.001, 0.01, 0.1)
MESSAGE_BYTES = 64 << 10
_LIVE = struct.Struct("<q")


class Comparison(NamedTuple):
    """What a shadow made of rows beside version `live`; differences are its scores less those.

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


class Bundle:
    """Scored rows that go to a shadow in one message, so that neither side wakes the other for every request."""

    def __init__(self, spec: ModelSpec) -> None:
        rows = max(MESSAGE_BYTES // _row_bytes(spec), 1)
        self._dense = np.empty((rows, len(spec.dense)), np.float32)
        self._ids = np.empty((rows, len(spec.fields)), np.int64)
        self._scores = np.empty(rows, np.float32)
        self.rows = 0

    @property
    def full(self) -> bool:
        """Whether it takes no more rows."""
        return self.rows == len(self._scores)

    def add(self, batch: Batch, scores: Floats) -> int:
        """Add the first of these rows as far as there is room. Returns how many."""
        added = min(len(scores), len(self._scores) - self.rows)
        room = slice(self.rows, self.rows + added)
        self._dense[room], self._ids[room], self._scores[room] = batch.dense[:added], batch.ids[:added], scores[:added]
        self.rows += added
        return added

    def message(self, live: int) -> Sequence[bytes | memoryview]:
        """What version `live` made of the rows, in parts."""
        rows = self.rows
        return _LIVE.pack(live), self._dense[:rows].data, self._ids[:rows].data, self._scores[:rows].data


def follow(engine: Engine, batches: socket.socket) -> None:
    """Be a shadow: score what comes and tell how it compares, until there is nobody to tell."""
    numbers, fields, row_bytes = len(engine.spec.dense), len(engine.spec.fields), _row_bytes(engine.spec)
    with suppress(ConnectionError):
        while message := batches.recv(MESSAGE_BYTES + row_bytes + _LIVE.size):
            rows = (len(message) - _LIVE.size) // row_bytes
            ids_at = _LIVE.size + rows * numbers * 4
            scores_at = ids_at + rows * fields * 8
            dense = np.frombuffer(message, np.float32, rows * numbers, _LIVE.size).reshape(rows, numbers)
            ids = np.frombuffer(message, np.int64, rows * fields, ids_at).reshape(rows, fields)
            scores = np.frombuffer(message, np.float32, rows, scores_at)
            (live,) = _LIVE.unpack_from(message)
            batches.send(_compared(engine, live, Batch(dense, ids), scores).pack())


def _row_bytes(spec: ModelSpec) -> int:
    return len(spec.dense) * 4 + len(spec.fields) * 8 + 4


def _compared(engine: Engine, live: int, batch: Batch, scores: Floats) -> Comparison:
    rows, none = len(scores), (0,) * len(DIFFERENCES)
    try:
        found = engine.score(batch)
    except Exception:  # ORT has no public base class for its errors
        return Comparison(live, rows, 0, rows, 0, 0, none)
    off = found.astype(np.float64) - scores
    off = off[np.isfinite(off)]
    above = tuple(int((np.abs(off) > bound).sum()) for bound in DIFFERENCES)
    return Comparison(live, rows, rows - len(off), 0, float(np.abs(off).sum()), float(off.sum()), above)
