"""Releases an hour apart, by a clock that is not waited for. Prints what they cost at the beginning and at the end.

A process of its own, as what metrics are kept in is decided when they are imported.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from thimble.service.telemetry import metrics
from thimble.service.telemetry.metrics import BatchTimes, ModelMetrics, ShadowMetrics

now = 0.0
metrics.SERIES._clock = lambda: now


def release(number: int) -> ModelMetrics:
    """A version is served, scores and is refused, has a shadow beside it, and another one never gets so far."""
    served = ModelMetrics("shop", number)
    served.describe("CPUExecutionProvider", "native", "block", "int8")
    served.batch(BatchTimes(1, 1, 0, [0.001], 0.001, 0.001, 0.001))
    for status in (200, 400, 429, 504):
        served.request(status, 0.001)
    served.unusable(1)
    shadow = ShadowMetrics("shop", number + 100_000)
    shadow.begin()
    for outcome in ("scored", "dropped"):
        shadow.beside(number, metrics.SHADOW_ROWS, outcome).inc()
    shadow.beside(number, metrics.SHADOW_ABOVE, "0.1").inc()
    shadow.crash()
    shadow.end()
    ModelMetrics("shop", number + 200_000)
    metrics.changed("shop", "released")
    metrics.answers("shop", number)
    metrics.changed(f"gone-{number}", "refused")
    return served


def cost() -> dict[str, Any]:
    process = psutil.Process()
    began = time.perf_counter()
    for _ in range(5):
        text = metrics.exposition()
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return {
        "seconds": time.perf_counter() - began,
        "series": text.count(b"\n"),
        "mib": process.memory_info().rss / (1 << 20),
        "descriptors": process.num_fds(),
        "threads": threading.active_count(),
        "bytes": sum(path.stat().st_size for path in Path(folder).iterdir()) if folder else 0,
        "released": [line for line in text.decode().splitlines() if "changes_total" in line and "shop" in line],
    }


costs = []
before = None
for number in range(1, int(sys.argv[1]) + 1):
    current = release(number)
    if before is not None:
        before.withdraw()
    before = current
    now += 3600
    metrics.SERIES.drop_old()  # as the server does ten times a second
    if number in (20, int(sys.argv[1])):
        costs.append(cost())
print(json.dumps(costs))
