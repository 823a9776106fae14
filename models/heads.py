"""The answers of a model that has several: what each is called, and how probabilities follow from logits.

All heads share everything but the last layer, which has a logit for each. A head by itself is a probability, sigmoid of
its logit. One that is `given` another, as a conversion is given a click, is the probability of both: its logit is that
of the condition alone, so its probability is sigmoid of it times the other's. That is ESMM (Ma et al., SIGIR 2018),
pCTCVR = pCTR * pCVR, which is trained on all rows that were shown rather than on clicked ones.

A model of one answer has no heads; its output is called `score`.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from thimble.models.base import Frozen, Name
from thimble.models.hashing import Floats

SCORE: Final = "score"
"""The output of a model of one answer."""


class Head(Frozen):
    """One of several answers. Where it is `given` another, its label is 1 only where that one's is."""

    name: Name
    given: Name | None = None

    def __str__(self) -> str:
        return f"{self.name} given {self.given}" if self.given else self.name


Heads = tuple[Head, ...]


def check_heads(heads: Heads, others: Sequence[str]) -> None:
    """ValueError: they are no heads of one model, or one is called as one of `others`, the tensors that it takes."""
    if len(heads) == 1:
        raise ValueError("heads are for several answers; a model of one has none")
    names = [head.name for head in heads]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"heads must have different names, these have not: {', '.join(twice)}")
    if taken := [name for name in names if name in others]:
        raise ValueError(f"a head cannot be called {taken[0]!r}, as an input is")
    for place, head in enumerate(heads):
        if head.given is not None and head.given not in names[:place]:
            raise ValueError(f"head {head.name} is given {head.given!r}, which is no head before it")


def outputs_of(heads: Heads) -> tuple[str, ...]:
    """What a model's answers are called, in their order."""
    return tuple(head.name for head in heads) or (SCORE,)


def parents_of(heads: Heads) -> tuple[int | None, ...]:
    """For each head the place of the one that it is given, if any."""
    places = {head.name: place for place, head in enumerate(heads)}
    return tuple(None if head.given is None else places[head.given] for head in heads)


def empty_scores(rows: int, heads: Heads) -> Floats:
    """An array for the scores of so many rows: float32 [rows], of several answers [rows, heads]."""
    return np.empty((rows, len(heads)) if heads else rows, np.float32)


def columns_of(values: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Scores or labels of each head, [rows] each, of [rows, heads], or of one answer's [rows]."""
    return [values] if values.ndim == 1 else list(values.T)


def together(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The other way round: of one column [rows] itself, of several [rows, heads]."""
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def probabilities(logits: npt.NDArray[Any], heads: Heads) -> npt.NDArray[Any]:
    """In numpy, of logits [rows, heads], or of one answer's [rows]; of the logits' shape and type."""
    with np.errstate(over="ignore"):  # of what is far below 0
        own: npt.NDArray[Any] = 1 / (1 + np.exp(-logits))
    for place, parent in enumerate(parents_of(heads)):
        if parent is not None:
            own[:, place] *= own[:, parent]
    return own
