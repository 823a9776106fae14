"""How fast this machine trains a model, by some of its steps."""

import os
import time
from collections.abc import Iterator

from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import ClickError, Clicks, Rows
from thimble.export.training.ranks import ALONE
from thimble.export.training.recipe import recipe_for
from thimble.export.training.start import started
from thimble.export.training.step import Step
from thimble.export.wording import size
from thimble.models.base import Frozen, Positive
from thimble.models.spec import ModelSpec

SECONDS = 0.5
"""That are measured, or one step where it takes longer."""
_SAMPLE_ROWS = 1 << 14


class Pace(Frozen):
    """Steps that were taken, and rows a second of the steps alone: reading files comes on top.

    `step_rows` are those of a step on average, fewer than a batch has where there are no more.
    """

    device: str
    batch_size: Positive
    steps: Positive
    step_rows: float
    rows_per_second: float


def measured_pace(spec: ModelSpec, rows: Rows, train_rows: int) -> Pace:
    """Train a model of random weights for a moment, as one of so many rows, and forget it.

    ClickError: no row, or no room for the model.
    """
    _check_room(spec)
    recipe = recipe_for(train_rows, validated=True)
    step = Step(started(spec, recipe.seed, ALONE.device), recipe)
    batches = _over_and_over(rows, recipe.batch_size)
    step(next(batches))  # the first one allocates what the others use
    step.check()  # which waits for a GPU
    steps = trained = 0
    seconds = 0.0
    while not steps or seconds < SECONDS:
        clicks = next(batches)
        begun = time.perf_counter()
        step(clicks)
        step.check()
        seconds += time.perf_counter() - begun
        steps += 1
        trained += len(clicks.labels)
    return Pace(
        device=str(step.device),
        batch_size=recipe.batch_size,
        steps=steps,
        step_rows=trained / steps,
        rows_per_second=trained / seconds,
    )


def generated_sample(spec: ModelSpec) -> Rows:
    """Rows of a preset to take steps with."""
    return Rows(GeneratedClicks(spec, _SAMPLE_ROWS, seed=0), 0, _SAMPLE_ROWS)


def _check_room(spec: ModelSpec) -> None:
    """Weights are float32 while they are trained, whatever they are stored as. ClickError: the machine has less.

    It is asked first, because Linux gives out memory that it does not have, and ends whoever uses it.
    """
    needed = 4 * spec.embedding.weights(spec.embedding_dim)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > machine:
        raise ClickError(
            f"the pace is measured on this machine, whose {size(machine)} of memory have no room for embeddings that "
            f"take {size(needed)} while they are trained; plan a smaller --memory"
        )


def _over_and_over(rows: Rows, size: int) -> Iterator[Clicks]:
    while True:
        usable = False
        for clicks in rows.read(size):
            if len(clicks.labels):
                usable = True
                yield clicks
        if not usable:
            raise ClickError(f"{rows.source.description}: no usable row")
