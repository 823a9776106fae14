"""What a server did in the last minutes, for people to look at: a sample every few seconds, the last of them kept.

A sample holds what was counted since the one before, of those versions alone of which something was, so a server that
has many and uses few keeps little.
"""

import asyncio
import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.service.telemetry import columns, metrics
from thimble.service.telemetry.counts import Counts, Matrix
from thimble.service.telemetry.series import Version

INTERVAL_SECONDS = 5.0
KEPT_SAMPLES = 120
LATELY_SECONDS = 60.0
_STATM = Path("/proc/self/statm")


class Sample(NamedTuple):
    """What `versions` did, a row of `counted` each, in the `seconds` before a `time` (of the clock, since 1970)."""

    time: float
    seconds: float
    versions: list[Version]
    counted: npt.NDArray[np.float32]


class Figures(NamedTuple):
    """What was done in some time: a second's requests by what became of them, rows, and the times of answers.

    `refused` are 429, 503 and 504, `invalid` other 4xx, `failed` other 5xx. The times, in seconds, are estimated from
    the buckets of `thimble_request_seconds`, and None without an answer. `queued` is how many rows waited at the end.
    """

    requests: float
    rows: float
    refused: float
    invalid: float
    failed: float
    median: float | None
    p99: float | None
    queued: float


class Activity:
    """Takes samples, and tells what was done. For one thread at a time."""

    def __init__(self, counts: Counts, clock: Callable[[], float] = time.time) -> None:
        self.samples: deque[Sample] = deque(maxlen=KEPT_SAMPLES)
        self._counts = counts
        self._clock = clock
        self._before: Matrix = np.zeros((0, columns.WIDTH))
        self._time: float | None = None

    def sample(self) -> None:
        """Take one. The first only says from when on is counted. OSError."""
        resident = resident_bytes()
        if resident is not None:
            metrics.RESIDENT.set(resident)
        now, matrix = self._clock(), self._counts.read()
        since = np.zeros_like(matrix)
        since[: len(self._before)] = self._before
        change = np.maximum(matrix - since, 0)  # a version that comes back begins anew
        change[:, columns.STATES] = matrix[:, columns.STATES]
        if self._time is not None and now > self._time:
            busy = np.flatnonzero(change.any(axis=1))
            versions = [self._counts.rows.versions[row] for row in busy]
            self.samples.append(Sample(now, now - self._time, versions, change[busy].astype(np.float32)))
        self._before, self._time = matrix, now

    async def keep_up(self) -> None:
        """Take samples for good, at times of the clock that are those of the other workers too."""
        while True:
            await asyncio.to_thread(self.sample)
            await asyncio.sleep(INTERVAL_SECONDS - self._clock() % INTERVAL_SECONDS)

    def over_time(self, model: str | None) -> list[Figures]:
        """Of each sample, what all versions of a model did, or of all models."""
        return [_figures(_of_model(sample, model).sum(axis=0), sample.seconds) for sample in self.samples]

    def memory(self) -> list[float | None]:
        """Of each sample, the bytes of memory that all processes that serve held; None where that is not known."""
        return [float(sample.counted[:, columns.MEMORY].sum()) or None for sample in self.samples]

    def lately(self) -> dict[Version, Figures]:
        """What each version did in the last minute that did anything."""
        sums: dict[Version, Matrix] = defaultdict(lambda: np.zeros(columns.WIDTH))
        seconds = 0.0
        for sample in _until(reversed(self.samples), LATELY_SECONDS):
            seconds += sample.seconds
            for version, counted in zip(sample.versions, sample.counted, strict=True):
                if version[0]:
                    sums[version] += counted
        if self.samples:
            last = self.samples[-1]
            queued = dict(zip(last.versions, last.counted[:, columns.QUEUED], strict=True))
            for version, counted in sums.items():
                counted[columns.QUEUED] = queued.get(version, 0)
        return {version: _figures(counted, seconds) for version, counted in sums.items()}


def resident_bytes() -> int | None:
    """The memory that this process holds, None where that cannot be told."""
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def quantile(counted: Matrix, share: float) -> float | None:
    """The time that a share of the answers took at most, of a histogram of them; None of none.

    Within a bucket they are taken to be spread evenly, as Prometheus' histogram_quantile does.
    """
    reached = counted.cumsum()
    if not reached[-1]:
        return None
    wanted = share * reached[-1]
    bucket = int(np.searchsorted(reached, wanted))
    low = columns.LATENCY_BOUNDS[bucket - 1] if bucket else 0.0
    high = columns.LATENCY_BOUNDS[bucket]
    if high == float("inf"):
        return low
    below = reached[bucket - 1] if bucket else 0.0
    return float(low + (high - low) * (wanted - below) / counted[bucket])


def _of_model(sample: Sample, model: str | None) -> npt.NDArray[np.float32]:
    if model is None:
        return sample.counted
    return sample.counted[[version[0] == model for version in sample.versions]]


def _until(samples: Iterable[Sample], seconds: float) -> Iterable[Sample]:
    """The first of some samples, of so many seconds together."""
    for sample in samples:
        if seconds <= 0:
            return
        yield sample
        seconds -= sample.seconds


def _figures(counted: npt.NDArray[np.floating], seconds: float) -> Figures:
    latencies = counted[columns.LATENCIES].astype(np.float64)
    refused, invalid, failed = (float(counted[it]) for it in (columns.REFUSED, columns.INVALID, columns.FAILED))
    return Figures(
        requests=(float(latencies.sum()) + refused + invalid + failed) / seconds,
        rows=float(counted[columns.ROWS]) / seconds,
        refused=refused / seconds,
        invalid=invalid / seconds,
        failed=failed / seconds,
        median=quantile(latencies, 0.5),
        p99=quantile(latencies, 0.99),
        queued=float(counted[columns.QUEUED]),
    )
