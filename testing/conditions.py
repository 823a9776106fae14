"""What tests wait for."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 30


def until(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something holds. AssertionError: it did not within so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)  # leaves the core to what is waited for
