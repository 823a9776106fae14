"""What is sent, and what came of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

BROKEN = 0
"""The status of a request whose connection was refused or broke before the whole answer came."""


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request as it goes over the wire. `check` says of the body of a 200 whether it is right."""

    wire: bytes
    rows: int = 1
    check: Callable[[bytes], bool] | None = None


@dataclass(frozen=True)
class Run:
    """What came of the requests that started in the measured `seconds`, whenever they ended; one array entry each.

    `started` (seconds since the measured time began) and `latency` (seconds) count, in an open loop, from when a
    request was due, not from when it was sent. `offered` is the open loop's rate, requests/s.
    """

    seconds: float
    offered: float | None
    status: Int64s
    started: Doubles
    latency: Doubles
    rows: Int64s
    wrong: int
    unanswered: int

    @property
    def counts(self) -> dict[int, int]:
        return dict(sorted(Counter(self.status.tolist()).items()))

    @property
    def requests_per_second(self) -> float:
        """Answered with 200."""
        return self.counts.get(200, 0) / self.seconds

    @property
    def rows_per_second(self) -> float:
        """Answered with 200."""
        return float(self.rows[self.status == 200].sum()) / self.seconds

    @property
    def failures(self) -> int:
        """Requests without a right answer of status 200."""
        return int((self.status != 200).sum()) + self.wrong + self.unanswered

    def percentile(self, q: float, status: int = 200) -> float:
        """Seconds; NaN when no answer has that status."""
        latency = self.latency[self.status == status]
        return float(np.percentile(latency, q)) if len(latency) else float("nan")

    def summary(self) -> dict[str, Any]:
        """What a results file keeps of it. Latencies in milliseconds, by status."""
        return {
            "seconds": self.seconds,
            "offered_requests_per_second": self.offered,
            "requests_per_second": round(self.requests_per_second, 2),
            "rows_per_second": round(self.rows_per_second, 1),
            "counts": {str(status): count for status, count in self.counts.items()},
            "wrong": self.wrong,
            "unanswered": self.unanswered,
            "latency_ms": {
                str(status): {f"p{q:g}": round(self.percentile(q, status) * 1e3, 3) for q in (50, 90, 99, 99.9, 100)}
                for status in self.counts
            },
        }
