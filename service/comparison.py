"""What a shadow is shown and what it says: messages over a socket, a batch each, and the process that answers them."""

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from models.features import Batch
from models.hashing import Floats
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


def messages(live: int, batch: Batch, scores: Floats) -> Iterator[tuple[int, Sequence[bytes | memoryview]]]:
    """What version `live` made of a batch, as messages in parts, each with its number of rows."""
    step = max(MESSAGE_BYTES // (batch.dense.strides[0] + batch.ids.strides[0]), 1)
    for start in range(0, len(scores), step):
        part = slice(start, start + step)
        dense, ids, found = batch.dense[part], batch.ids[part], scores[part]
        yield len(found), (_LIVE.pack(live), dense.data, ids.data, found.data)


def follow(engine: Engine, batches: socket.socket) -> None:
    """Be a shadow: score what comes and tell how it compares, until there is nobody to tell."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    numbers, fields = len(engine.spec.dense), len(engine.spec.fields)
    row_bytes = numbers * 4 + fields * 8 + 4
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
