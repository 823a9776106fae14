"""What does not fit on this machine, extrapolated from what does: straight lines, and called projections.

How many bytes a release has follows from the tables exactly. What these bytes then cost is one line through all that
was measured, full and compressed: the few that a compressed model grows by would drown in noise on their own.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from thimble.loadtests.results.comparison import Comparison, Name, ProcessMemory, Replicas, Size
from thimble.models.presets import preset

CRITEO_TB_BYTES = preset("criteo-tb").full_table_bytes
"""The full tables of MLPerf's DLRM for Criteo-TB in float32: 96.1 GB."""
FEWEST = 2


class Line(NamedTuple):
    """value = start + slope * x. Neither is below 0: what came out so is noise about 0."""

    start: float
    slope: float

    def at(self, x: float) -> float:
        return self.start + self.slope * x


def line(xs: Sequence[float], ys: Sequence[float]) -> Line | None:
    """The line of least squares. None from fewer than two points."""
    if len(set(xs)) < FEWEST:
        return None
    slope, start = map(float, np.polyfit(xs, ys, 1))
    if slope < 0:
        return Line(float(np.mean(ys)), 0)
    return Line(start, slope) if start >= 0 else Line(0, float(np.dot(xs, ys) / np.dot(xs, xs)))


class Quantity(NamedTuple):
    """Something that grows with the bytes of a release."""

    title: str
    of: Callable[[Size], float]


def whole(memory: ProcessMemory) -> float:
    """Bytes of a server and of the model's files in the page cache, whether it has mapped them yet or not."""
    return memory.proportional - memory.mapped + memory.cached


QUANTITIES = {
    "bytes": Quantity("bytes that a release ships", lambda size: size.size),
    "memory": Quantity("memory of one server with all of its files in memory", lambda size: whole(size.memory)),
    "copy": Quantity("copying a version's files on such a disk, s", lambda size: size.swap.copied),
    "ready": Quantity("from the start of the process to ready, cold disk, s", lambda size: size.startup.ready),
    "release": Quantity("making a version in the repository live, s", lambda size: size.swap.released),
}


def projected(found: Comparison, name: Name, quantity: str, tables: float) -> float | None:
    """A quantity of a deployment if its full tables weighed so many bytes. None from fewer than two sizes."""
    own = found.sizes.get(name, [])
    size = line([size.tables for size in own], [size.size for size in own])
    everything = [size for sizes in found.sizes.values() for size in sizes]
    cost = line([size.size for size in everything], [QUANTITIES[quantity].of(size) for size in everything])
    return cost.at(size.at(tables)) if size and cost else None


def by_replicas(replicas: Sequence[Replicas]) -> Line | None:
    """Memory by the number of replicas: what they share, and what each adds, bytes."""
    return line([r.replicas for r in replicas], [r.memory.proportional for r in replicas])


def fit(memory: Line, limit_bytes: float) -> int:
    """Replicas that fit into so much memory of one machine."""
    return max(int((limit_bytes - memory.start) // memory.slope), 0) if memory.slope > 0 else 0
