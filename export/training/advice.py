"""What a user should know of a finished run, and what to do about it."""

import math
from collections.abc import Iterator

from thimble.export.metrics.calibration import entropy
from thimble.export.training.checkpoint import Progress, RunConfig
from thimble.export.training.platt import enough_rows
from thimble.export.training.schema import default_memory
from thimble.export.wording import counted
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.spec import Metrics, ModelSpec

# An epoch of fewer steps teaches little, whatever the learning rate.
FEW_STEPS = 10
# How far the scores' mean may be from the base rate, as a share of it.
FAR_OFF = 0.02

_TOO_LITTLE = "these columns say too little of the clicks, or there are too few rows: bring more of either"


def advice(config: RunConfig, progress: Progress) -> list[str]:
    """Sentences about a run whose metrics are known; none where all is well."""
    assert progress.metrics is not None
    constant = progress.best_epoch == 0
    return [
        *(_of_constant(progress) if constant else ()),
        *_of_answers(config, progress, progress.metrics, constant),
        *_of_epochs(config, progress),
        *_of_memory(config.spec),
    ]


def _of_answers(config: RunConfig, progress: Progress, metrics: Metrics, constant: bool) -> Iterator[str]:
    """Of each answer by itself, its name before the sentence where there are several."""
    for name, of_answer in zip(config.spec.outputs, metrics.by_head, strict=True):
        called = f"{name}: " if config.spec.heads else ""
        yield from (called + sentence for sentence in _of_metrics(of_answer, constant))
        yield from (called + sentence for sentence in _of_calibration(config, progress, of_answer))


def _of_constant(progress: Progress) -> Iterator[str]:
    assert progress.start is not None
    least, rows = min(metrics.to_be_least for metrics in progress.validation), progress.start.rows
    what = "mean normalised entropy" if progress.start.others else "log loss"
    yield (
        f"the model is a constant, the base rate for every row: its {what} on {counted(rows, 'validation row')} is "
        f"{progress.start.to_be_least:.4f}, and the best epoch's was {least:.4f}; {_TOO_LITTLE}"
    )


def _of_metrics(metrics: Metrics, constant: bool) -> Iterator[str]:
    rows, of_base_rate = counted(metrics.rows, "held-out row"), entropy(metrics.base_rate)
    if metrics.auc is None:
        yield f"one class alone in {rows}, which tells nothing of the model; hold out more, or others"
    elif constant:
        return  # by any rows its AUC is 0.5, and its log loss no better than the base rate's
    elif metrics.log_loss >= of_base_rate:
        yield (
            f"no better than a constant score: log loss {metrics.log_loss:.4f}, the base rate's is {of_base_rate:.4f}; "
            f"{_TOO_LITTLE}"
        )
    elif metrics.auc_interval is not None and metrics.auc_interval[0] <= 0.5:
        yield f"{rows} do not tell the AUC of {metrics.auc:.4f} from chance, 0.5; bring more rows, or hold out more"
    elif metrics.normalised_entropy_interval is not None and metrics.normalised_entropy_interval[1] >= 1:
        yield (
            f"{rows} do not tell the log loss of {metrics.log_loss:.4f} from a constant score's, {of_base_rate:.4f}; "
            "bring more rows, or hold out more"
        )


def _of_calibration(config: RunConfig, progress: Progress, metrics: Metrics) -> Iterator[str]:
    if metrics.calibration is None or metrics.calibration_interval is None:
        return
    low, high = metrics.calibration_interval
    if abs(metrics.calibration - 1) <= FAR_OFF or low <= 1 <= high:
        return
    recipe, validation = config.recipe, progress.validation
    remedy = "bring more rows, or more for validation (--validation-share)"
    # a constant cannot be, nor one of several answers
    scaled = recipe.platt or progress.best_epoch == 0 or bool(config.spec.heads)
    if not scaled and validation and enough_rows(validation[-1], recipe.negatives_kept):
        remedy = "--platt fits it in a new --run, if these rows are as those that will be scored"
    yield (
        f"the scores' mean is {metrics.calibration:.2f} times the base rate of the "
        f"{counted(metrics.rows, 'held-out row')} ({low:.2f} to {high:.2f}); {remedy}"
    )


def _of_epochs(config: RunConfig, progress: Progress) -> Iterator[str]:
    epochs, batch = config.recipe.epochs, config.recipe.batch_size
    if 1 < epochs == len(progress.validation) == progress.best_epoch:
        yield f"still improving after the last epoch; try --epochs {2 * epochs} in a new --run"
    if (count := math.ceil(config.train_rows / batch)) < FEW_STEPS and batch > 1:
        steps = counted(count, "step")
        yield f"an epoch has only {steps} of {batch:,} rows; a smaller --batch-size learns more in each"


def _of_memory(spec: ModelSpec) -> Iterator[str]:
    if not isinstance(spec.embedding, HashedEmbedding):
        return
    # which has more than the tables where these are tiny, and there is no --memory to leave out
    default = default_memory(spec.fields, spec.embedding_dim, spec.embedding.chunk_size, spec.precision.memory)
    if spec.embedding_bytes > max(spec.full_table_bytes, default):
        yield (
            f"the shared array has {spec.embedding_bytes:,} bytes and full tables of these columns would have "
            f"{spec.full_table_bytes:,}; leave out --memory, or take --scheme full"
        )
