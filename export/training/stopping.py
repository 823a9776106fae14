"""When training is over, and which epoch's weights are kept."""

from collections.abc import Sequence

from thimble.models.spec import Metrics

# How many epochs in a row may be no better than the best one.
PATIENCE = 1


def best_epoch(validation: Sequence[Metrics]) -> int:
    """The epoch, from 1, after which the log loss on the validation rows was lowest; the first of equals."""
    return 1 + min(range(len(validation)), key=lambda i: validation[i].log_loss)


def is_over(validation: Sequence[Metrics]) -> bool:
    """Whether the last PATIENCE epochs brought nothing. `validation` has the metrics after each epoch."""
    return len(validation) - best_epoch(validation) >= PATIENCE if validation else False
