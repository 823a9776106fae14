"""When training is over, and which epoch's weights are kept."""

from collections.abc import Sequence

from thimble.models.spec import Metrics

# How many epochs in a row may be no better than the best one.
PATIENCE = 1


def best_epoch(validation: Sequence[Metrics], start: Metrics | None = None) -> int:
    """The epoch, from 1, after which `Metrics.to_be_least` was least on the validation rows; the first of equals.

    0 where no epoch's was below that of a constant, the `start`, if its metrics are given.
    """
    best = min(range(len(validation)), key=lambda i: validation[i].to_be_least)
    return 0 if start and start.to_be_least <= validation[best].to_be_least else best + 1


def is_over(validation: Sequence[Metrics]) -> bool:
    """Whether the last PATIENCE epochs brought nothing. `validation` has the metrics after each epoch.

    A constant has no say in it: the first epoch of a small file may be worse than that, and the third one better.
    """
    return len(validation) - best_epoch(validation) >= PATIENCE if validation else False
