"""Latencies in buckets that widen with them: any percentile to 0.1 %, and histograms of several processes add up."""

import math

from pydantic import BaseModel

SMALLEST_MS = 0.001
GROWTH = 1.001
ROUNDING = 1e-9  # 99.9 % of 1000 is a little more than 999 in binary
_LOG_GROWTH = math.log(GROWTH)


class Histogram(BaseModel):
    """Counts by bucket. Bucket b holds latencies from SMALLEST_MS * GROWTH^b to GROWTH times that, in milliseconds."""

    counts: dict[int, int] = {}
    total_ms: float = 0
    max_ms: float = 0

    def record(self, ms: float) -> None:
        bucket = int(math.log(ms / SMALLEST_MS) / _LOG_GROWTH) if ms > SMALLEST_MS else 0
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.total_ms += ms
        self.max_ms = max(self.max_ms, ms)

    def add(self, other: "Histogram") -> None:
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.total_ms += other.total_ms
        self.max_ms = max(self.max_ms, other.max_ms)

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def mean_ms(self) -> float:
        """NaN without latencies."""
        count = self.count
        return self.total_ms / count if count else math.nan

    def percentiles(self, *shares: float) -> list[float]:
        """For each q, ascending, the milliseconds that q percent of the latencies do not exceed; NaN without any."""
        count = self.count
        buckets = iter(sorted(self.counts.items()))
        seen, ms = 0, math.nan
        found = []
        for q in shares:
            rank = max(math.ceil(count * q / 100 - ROUNDING), 1)
            while seen < rank and (entry := next(buckets, None)):
                seen += entry[1]
                ms = SMALLEST_MS * GROWTH ** (entry[0] + 0.5)
            found.append(self.max_ms if rank == count else min(ms, self.max_ms))
        return found

    def percentile(self, q: float) -> float:
        """Milliseconds that `q` percent of the latencies do not exceed; NaN without latencies."""
        return self.percentiles(q)[0]
