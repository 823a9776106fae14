"""What is counted of a version, as a row of numbers: the columns that the series of metrics are added up in.

The first columns are requests by what became of them and rows; from LATENCY on there is a histogram of how long answers
took. QUEUED and MEMORY are states, all others only grow.
"""

from collections.abc import Mapping
from typing import Final

from thimble.service.telemetry import metrics

REFUSED, INVALID, FAILED, ROWS, QUEUED, MEMORY, LATENCY = range(7)
LATENCY_BOUNDS: Final = (*metrics.TIMES, float("inf"))
"""Seconds up to which the answers of a column took."""
LATENCIES: Final = slice(LATENCY, LATENCY + len(LATENCY_BOUNDS))
WIDTH: Final = LATENCIES.stop
STATES: Final = (QUEUED, MEMORY)

_TURNED_AWAY = frozenset({"429", "503", "504"})
_PLAIN = {
    "thimble_batch_rows_sum": ROWS,
    "thimble_queued_rows": QUEUED,
    "thimble_resident_bytes": MEMORY,
}
NAMES = frozenset({*_PLAIN, "thimble_request_seconds_bucket"})
"""The series that have a column."""


def column_of(name: str, labels: Mapping[str, str]) -> int | None:
    """The column of a series, a bucket of a histogram being what it alone holds; None if it has none."""
    if name != "thimble_request_seconds_bucket":
        return _PLAIN.get(name)
    column = column_of_status(labels["status"])
    return column + (LATENCY_BOUNDS.index(float(labels["le"])) if column == LATENCY else 0)


def column_of_status(status: str) -> int:
    """Where requests that were answered so are counted; for 200 the first of the LATENCIES."""
    if status == "200":
        return LATENCY
    if status in _TURNED_AWAY:
        return REFUSED
    return FAILED if status.startswith("5") else INVALID
