"""When training is over, and which epoch's weights are kept."""

from collections.abc import Sequence

from thimble.models.spec import Metrics

# How many epochs in a row may be no better than the best one.
PATIENCE = 1


def best_epoch(validation: Sequence[Metrics], start: Metrics | None = None) -> int:
    """The epoch, from 1, after which the log loss on the validation rows was lowest; the first of equals.

    0 where no epoch's was below that of a constant, the `start`, if its metrics are given.
    """
    best = min(range(len(validation)), key=lambda i: validation[i].log_loss)
    return 0 if start and start.log_loss <= validation[best].log_loss else best + 1


def is_over(validation: Sequence[Metrics]) -> bool:
    """Whether the last PATIENCE epochs brought nothing. `validation` has the metrics after each epoch.

    A constant has no say in it: the first epoch of a small file may be worse than that, and the third one better.
    """
    return len(validation) - best_epoch(validation) >= PATIENCE if validation else False
