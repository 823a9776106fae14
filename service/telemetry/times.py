"""What the engine's queue reports of every batch."""

from typing import NamedTuple


class BatchTimes(NamedTuple):
    """A batch that was scored, times in seconds.

    `waited` has the requests of which it held the first rows, `queued` is how many rows wait behind it.
    """

    rows: int
    requests: int
    queued: int
    waited: list[float]
    fill: float
    run: float
    give: float
