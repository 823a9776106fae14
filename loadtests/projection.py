"""What does not fit on this machine, extrapolated from what does: straight lines, and called projections."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from loadtests.comparison import Comparison, Name, Replicas, Size

CRITEO_TB_BYTES = 187_767_399 * 128 * 4
"""The full tables of MLPerf's DLRM for Criteo-TB in float32: 96.1 GB."""
FEWEST = 2


class Line(NamedTuple):
    """value = start + slope * x; a slope that came out below 0 is noise about 0."""

    start: float
    slope: float

    def at(self, x: float) -> float:
        return self.start + self.slope * x


def line(xs: Sequence[float], ys: Sequence[float]) -> Line | None:
    """The line of least squares. None from fewer than two places."""
    if len(set(xs)) < FEWEST:
        return None
    slope, start = np.polyfit(xs, ys, 1)
    return Line(float(start), float(slope)) if slope > 0 else Line(float(np.mean(ys)), 0)


class Quantity(NamedTuple):
    """Something that grows with the tables."""

    title: str
    of: Callable[[Size], float]


QUANTITIES = {
    "bytes": Quantity("bytes that a release ships", lambda size: size.size),
    "memory": Quantity("memory of one server once all rows were read", lambda size: size.memory.proportional),
    "copy": Quantity("copying a version's files on such a disk, s", lambda size: size.swap.copied),
    "ready": Quantity("from the start of the process to ready, cold disk, s", lambda size: size.startup.ready),
    "release": Quantity("making a version in the repository live, s", lambda size: size.swap.released),
}


def by_tables(found: Comparison, name: Name, quantity: str) -> Line | None:
    """How a quantity of a deployment grows with the bytes of the full tables."""
    sizes = found.sizes.get(name, [])
    return line([size.tables for size in sizes], [QUANTITIES[quantity].of(size) for size in sizes])


def by_replicas(replicas: Sequence[Replicas]) -> Line | None:
    """Memory by the number of replicas: what they share, and what each adds, bytes."""
    return line([r.replicas for r in replicas], [r.memory.proportional for r in replicas])


def fit(memory: Line, limit_bytes: float) -> int:
    """Replicas that fit into so much memory of one machine."""
    return max(int((limit_bytes - memory.start) // memory.slope), 0) if memory.slope > 0 else 0
