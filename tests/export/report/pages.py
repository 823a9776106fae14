"""What pages and events are made of, and what TensorBoard reads of events."""

from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from thimble.export.metrics.scored import ScoredRows
from thimble.export.training.history import Point

HISTORY = [
    Point(epoch=1, rows=100, seconds=1, loss=0.5),
    Point(epoch=1, rows=200, seconds=2, loss=0.4, log_loss=0.45, auc=0.7),
    Point(epoch=2, rows=300, seconds=3, loss=0.3, log_loss=0.44, auc=0.71),
    Point(epoch=2, rows=400, seconds=4, loss=0.2, log_loss=0.43, auc=0.72),
]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows, by tag: rows and values."""
    shown = EventAccumulator(str(folder)).Reload()
    return {tag: [(it.step, round(it.value, 6)) for it in shown.Scalars(tag)] for tag in shown.Tags()["scalars"]}


def scored(rows: int, seed: int = 0) -> ScoredRows:
    """Rows of a tenth as many users, with calibrated scores."""
    random = np.random.default_rng(seed)
    groups = random.integers(0, max(1, rows // 10), rows)
    scores = 1 / (1 + np.exp(2 - random.normal(size=rows)))
    found = ScoredRows()
    found.add((random.random(rows) < scores).astype(np.float32), scores.astype(np.float32), groups=groups)
    return found
