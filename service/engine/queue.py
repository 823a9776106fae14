"""Requests that wait for an engine, and how batches are cut from them.

They are served in the order in which they came; one that is larger than a batch goes to the end of the queue after each
of its batches.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.service.engine.outcomes import ClientGoneError, Done, late


@dataclass(eq=False, slots=True)
class Request:
    """Rows to be scored, and how far they are. `arrived` and `deadline` are times of the monotonic clock.

    `source` is who sent them, None if that is not known.
    """

    batch: Batch
    rows: int
    arrived: float
    deadline: float
    gone: Callable[[], bool]
    done: Done
    source: Hashable = None
    scores: Floats | None = None
    taken: int = 0
    scored: int = 0
    over: bool = False

    def end(self, result: Floats | Exception) -> None:
        self.over = True
        self.done(result)

    def add(self, first: int, scores: Floats) -> None:
        if self.scores is None:
            self.scores = np.empty((self.rows, *scores.shape[1:]), np.float32)
        self.scores[first : first + len(scores)] = scores
        self.scored += len(scores)
        if self.scored == self.rows:
            self.end(self.scores)


class Piece(NamedTuple):
    """Rows of a request that go in one batch."""

    request: Request
    start: int
    stop: int

    @property
    def batch(self) -> Batch:
        whole = self.request.batch
        return whole if self.stop - self.start == self.request.rows else whole.part(self.start, self.stop)


class RequestQueue:
    """Requests in the order in which they are served. `rows` is how many of their rows wait."""

    def __init__(self) -> None:
        self._requests: deque[Request] = deque()
        self.rows = 0

    def add(self, request: Request) -> None:
        self._requests.append(request)
        self.rows += request.rows

    def take(self, room: int, now: float) -> list[Piece]:
        """The next rows, at most `room`, of requests that still want their scores. The others are ended."""
        pieces: list[Piece] = []
        while room and self._requests:
            request = self._requests.popleft()
            left = request.rows - request.taken
            if not _wanted(request, now):
                self.rows -= left
                continue
            taken = min(room, left)
            pieces.append(Piece(request, request.taken, request.taken + taken))
            request.taken += taken
            room -= taken
            self.rows -= taken
            if taken < left:
                self._requests.append(request)
        return pieces

    def clear(self) -> list[Request]:
        """Let go of all that wait. Returns those that still want their scores."""
        waiting = [request for request in self._requests if not request.over]
        self._requests.clear()
        self.rows = 0
        return waiting


def _wanted(request: Request, now: float) -> bool:
    if request.over:  # a batch before failed
        return False
    if request.gone():
        request.end(ClientGoneError())
    elif now >= request.deadline:
        request.end(late(request.deadline - request.arrived))
    return not request.over
