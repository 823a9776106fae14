"""Clicks of our own: rows that look like a real log, and labels drawn from a hidden truth.

The truth is a factorisation machine over the ids plus the logged numbers, so it has interactions, and its own AUC is
the best that any model can reach.

Rows come in blocks, each from a random stream of its own, so any range of rows can be made without those before it.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from thimble.export.clicks.click_log import ClickLog
from thimble.export.clicks.criteo_log import CriteoLog
from thimble.export.clicks.feed_log import FeedLog
from thimble.export.clicks.further_labels import FurtherLabels
from thimble.export.clicks.rows import ClickError, Clicks, joined
from thimble.models.presets import CRITEO_DENSE, CRITEO_KAGGLE_ROWS, FEED_DENSE, FEED_ROWS
from thimble.models.provenance import GENERATED_CLICKS
from thimble.models.spec import ModelSpec

# Standard deviation of the true logits. Ours: it puts the best reachable AUC near .82, where real Criteo models are.
LOGIT_SPREAD = 1.4
BLOCK = 4096
# What scale and bias are found from are rows of days that lie so far apart, if rows have times.
_APART = 25 * BLOCK + BLOCK // 2


class GeneratedClicks:
    """A click source of any length for a model with a preset's features. The same seed gives the same clicks."""

    files = ()

    def __init__(self, spec: ModelSpec, rows: int, seed: int) -> None:
        """ClickError: the model has other features, or tables too short."""
        self.rows = rows
        self.seed = seed
        self.log = click_log(spec, seed)
        self.further = FurtherLabels(spec, seed) if spec.heads else None

    @property
    def description(self) -> str:
        return f"{GENERATED_CLICKS}, seed {self.seed}"

    @property
    def identity(self) -> str:
        return f"{self.description}, {self.further.identity}" if self.further else self.description

    def count(self) -> int:
        return self.rows

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        blocks: dict[int, Clicks] = {}
        for position in range(start, stop, size):
            end = min(position + size, stop)
            needed = range(position // BLOCK, (end - 1) // BLOCK + 1)
            blocks = {index: blocks.get(index) or self._block(index) for index in needed}
            offset = position - needed.start * BLOCK
            yield joined(list(blocks.values())).take(slice(offset, offset + end - position))

    def _block(self, index: int) -> Clicks:
        random = np.random.default_rng([self.seed, 2, index])
        logits, batch, times = self.log.draw(random, index * BLOCK, BLOCK)
        scale, bias = self._calibration
        truth = logits * scale + bias
        labels = (random.random(BLOCK) < 1 / (1 + np.exp(-truth))).astype(np.float32)
        if self.further:
            labels, truth = self.further.drawn(random, batch, labels, truth)
        return Clicks(labels, batch, truth=truth, times=times)

    @cached_property
    def _calibration(self) -> tuple[float, float]:
        """Scale and bias that give the hidden logits a spread of LOGIT_SPREAD and clicks their mean rate."""
        blocks = (self.log.draw(np.random.default_rng([self.seed, 3, i]), i * _APART, BLOCK) for i in range(8))
        logits = np.concatenate([drawn.logits for drawn in blocks])
        scale = LOGIT_SPREAD / float(logits.std())
        low, high = -20.0, 20.0
        for _ in range(50):
            middle = (low + high) / 2
            rate = (1 / (1 + np.exp(-logits * scale - middle))).mean()
            low, high = (middle, high) if rate < self.log.label_rate else (low, middle)
        return scale, low


def click_log(spec: ModelSpec, seed: int) -> ClickLog:
    """What clicks of a spec's features look like. ClickError: its features are no preset's, or tables too short."""
    if spec.dense == CRITEO_DENSE and len(spec.fields) == len(CRITEO_KAGGLE_ROWS):
        return CriteoLog(spec, seed)
    if spec.dense == FEED_DENSE and not any(spec.bags) and [field.name for field in spec.fields] == list(FEED_ROWS):
        return FeedLog(spec, seed)
    raise ClickError(
        "clicks can be generated for the features of a preset only: Criteo's 13 numbers and 26 fields, or feed's"
    )
