"""An hour of load and releases, after which nothing has grown."""

import os

import pytest

from benchmarks.operations.soak import measure

SECONDS = 3600
# The threads of asyncio.to_thread, which appear as calls happen to overlap, and stay.
POOL_THREADS = min(32, (os.cpu_count() or 1) + 4)


@pytest.mark.proof
@pytest.mark.timeout(SECONDS + 600)
def test_nothing_grows_in_an_hour() -> None:
    found = measure(SECONDS)
    assert found["load"]["wrong"] == 0 and set(found["load"]["counts"]) <= {"200", "429"}
    assert found["releases"] >= SECONDS // 120
    growth = found["growth"]
    assert growth["rss_mib"]["last"] <= 1.05 * growth["rss_mib"]["first"]
    assert growth["descriptors"]["last"] <= growth["descriptors"]["first"] + 2
    assert growth["threads"]["last"] <= growth["threads"]["first"] + POOL_THREADS
