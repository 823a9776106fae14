"""How long a training step takes beside one of full tables."""

import time
from collections.abc import Sequence
from itertools import cycle, islice
from multiprocessing.connection import Connection
from statistics import median

import torch

from thimble.export.clicks.rows import Clicks
from thimble.export.tradeoff.child import LOG, do
from thimble.export.tradeoff.grid import FULL, Setting
from thimble.export.tradeoff.outcomes import Folder, StepTime
from thimble.export.tradeoff.worker import Task
from thimble.export.training.ranks import ALONE
from thimble.export.training.start import started
from thimble.export.training.step import Step

# The first steps make the optimizers' memory.
WARM_UP = 2
# For each model at most so many rounds of one step of each kind, and no more once so many seconds have passed.
ROUNDS, SECONDS = 15, 6.0
LEAST_ROUNDS = 3


def time_steps(task: Task, settings: Sequence[Setting], errors: Connection) -> None:
    """Time steps of models and put each into the folder, in a process of its own that has the machine to itself."""
    folder = Folder(task.folder)

    def work() -> None:
        torch.set_num_threads(1)
        parts = task.open_parts()
        recipe = task.recipe
        batches = list(islice(parts.training.read(recipe.batch_size), WARM_UP + LEAST_ROUNDS))

        def step(setting: Setting) -> Step:
            spec, keys = task.model_of(setting, recipe.seed, parts.training)
            return Step(started(spec, recipe.seed, ALONE.device, keys), recipe)

        full = step(Setting(scheme=FULL))
        for setting in settings:
            seconds, full_seconds = side_by_side([step(setting), full], batches)
            folder.add_step_time(StepTime(setting=setting, seconds=seconds, full_seconds=full_seconds))

    do(work, task.folder / LOG, errors)


def side_by_side(steps: Sequence[Step], batches: Sequence[Clicks]) -> list[float]:
    """The median seconds of each on the same batches, one after the other in each round."""
    start = time.monotonic()
    found: list[list[float]] = [[] for _ in steps]
    for round_, batch in enumerate(islice(cycle(batches), WARM_UP + ROUNDS)):
        for step, seconds in zip(steps, found, strict=True):
            before = time.perf_counter()
            step(batch)
            step.take_loss()  # by which a GPU is waited for
            if round_ >= WARM_UP:
                seconds.append(time.perf_counter() - before)
        if round_ + 1 >= WARM_UP + LEAST_ROUNDS and time.monotonic() - start > SECONDS:
            break
    return [median(seconds) for seconds in found]
