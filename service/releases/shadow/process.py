"""The shadow's process: scores what it is shown, and tells how that compares with what the live version made of it."""

import os
import socket
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.heads import empty_scores
from thimble.service.engine.engine import CPU, Engine
from thimble.service.releases.shadow.messages import DIFFERENCES, Comparison, max_bytes, unpacked

# A kernel gives even a process of the lowest priority a tick of its clock now and then, 4 ms, whatever waits for the
# core. One that yields it after every so many rows, which take some 0.1 ms, has to give it up there and then.
YIELD_ROWS = 4


def follow(engine: Engine, batches: socket.socket) -> None:
    """Be a shadow: score what comes and tell how it compares, until there is nobody to tell."""
    longest = max_bytes(engine.spec)
    with suppress(ConnectionError):
        while message := batches.recv(longest):
            batches.send(_compared(engine, *unpacked(engine.spec, message)).pack())


def _scored(engine: Engine, batch: Batch) -> Floats:
    """Scores of a batch. On a processor that requests want as well, the core is yielded to them every few rows."""
    if engine.provider != CPU:
        return engine.score(batch)
    scores = empty_scores(batch.rows, engine.spec.heads)
    for start in range(0, len(scores), YIELD_ROWS):
        os.sched_yield()
        stop = start + YIELD_ROWS
        scores[start:stop] = engine.score(batch.part(start, stop))
    return scores


def _most(off: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of several answers' differences [rows, heads] the largest of each row, [rows]; one that is no number is that."""
    return off if off.ndim == 1 else off[np.arange(len(off)), np.nan_to_num(np.abs(off), nan=np.inf).argmax(axis=1)]


def _compared(engine: Engine, live: int, batch: Batch, scores: Floats) -> Comparison:
    rows, none = len(scores), (0,) * len(DIFFERENCES)
    try:
        found = _scored(engine, batch)
    except Exception:  # ORT has no public base class for its errors
        return Comparison(live, rows, 0, rows, 0, 0, none)
    off = _most(found.astype(np.float64) - scores)
    off = off[np.isfinite(off)]
    above = tuple(int((np.abs(off) > bound).sum()) for bound in DIFFERENCES)
    return Comparison(live, rows, rows - len(off), 0, float(np.abs(off).sum()), float(off.sum()), above)
