"""What is done with a batch on which the engine raised: was it the engine, or something in the batch?

A client must neither take the scores from those whose rows went along with its own, nor be able to make the engine look
broken. So the batch is run once more, for what was over in a moment. Then the engine has to score rows that it is known
to score: if it cannot, it is the engine. Else it is the batch, which is run in halves until what it raises on is alone.
One such request among n costs 2 log2 n runs more, ever smaller ones, about four times the batch's own time in all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from thimble.service.engine.queue import Piece

Computed = TypeVar("Computed")


@dataclass
class Recovery(Generic[Computed]):
    """What became of the pieces of a batch.

    `scored` got their scores, in the groups in which they were run; on `poison` the engine raises, each alone. `fault`
    is what it raised on rows that it should score: then all pieces are left as they were.
    """

    scored: list[tuple[list[Piece], Computed]] = field(default_factory=list)
    poison: list[Piece] = field(default_factory=list)
    fault: Exception | None = None


def recover(
    compute: Callable[[list[Piece]], Computed], check: Callable[[], None], pieces: list[Piece]
) -> Recovery[Computed]:
    """Score again what `compute` raised on. `check` raises if the engine cannot score what it should."""
    recovery = Recovery[Computed]()
    if not _score(compute, pieces, recovery):
        try:
            check()
        except Exception as error:
            recovery.fault = error
        else:
            _score_apart(compute, pieces, recovery)
    return recovery


def _score_apart(compute: Callable[[list[Piece]], Computed], pieces: list[Piece], recovery: Recovery[Computed]) -> None:
    """Score pieces that cannot be scored together."""
    if len(pieces) == 1:
        recovery.poison += pieces
        return
    middle = len(pieces) // 2
    for half in (pieces[:middle], pieces[middle:]):
        if not _score(compute, half, recovery):
            _score_apart(compute, half, recovery)


def _score(compute: Callable[[list[Piece]], Computed], pieces: list[Piece], recovery: Recovery[Computed]) -> bool:
    try:
        recovery.scored.append((pieces, compute(pieces)))
    except Exception:  # ORT has no public base class for its errors
        return False
    return True
