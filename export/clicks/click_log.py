"""What a log of generated clicks is made of, whatever it is to look like."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from thimble.export.clicks.zipf import Doubles
from thimble.models.features import Batch


class Drawn(NamedTuple):
    """Rows and their hidden logits [rows], up to scale and bias. `times` [rows] are seconds since 1970, if any."""

    logits: Doubles
    batch: Batch
    times: Doubles | None = None


class ClickLog(ABC):
    """Draws rows of a spec's features. The same spec and seed give the same log."""

    label_rate: ClassVar[float]
    """Share of the rows that are clicked."""
    order: ClassVar[str]
    """In which rows come, in words."""

    @abstractmethod
    def draw(self, random: np.random.Generator, first: int, rows: int) -> Drawn:
        """So many rows, of which the first is the log's row `first`, from 0."""

    @abstractmethod
    def rates(self) -> list[tuple[Doubles, Doubles]]:
        """Of each field: how often an id comes in a row, and how many ids come so often, [groups] each.

        Missing is an id, too, and of a bag a row has as many as it has values. What changes as time goes is as it is at
        one time.
        """
