"""One run in a process of its own, so that whatever becomes of it takes no other along."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from thimble.export.clicks.order import ShuffledRows
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.tradeoff.child import LOG, do
from thimble.export.tradeoff.grid import Run, Setting, spec_for
from thimble.export.tradeoff.outcomes import Folder, Outcome
from thimble.export.training.checkpoint import Progress, RunConfig
from thimble.export.training.full_tables import indexed
from thimble.export.training.hot_rows import with_hot_rows
from thimble.export.training.keyed import Keyed
from thimble.export.training.recipe import Recipe
from thimble.export.training.train import train
from thimble.models.spec import ModelSpec, Precision


@dataclass(frozen=True)
class Task:
    """What all runs of a trade-off have in common, as processes hand it on.

    `open_parts` finds the rows in their cache. `recipe` has the epochs of a setting that names none.
    """

    base: ModelSpec
    open_parts: Callable[[], Parts]
    recipe: Recipe
    folder: Path

    def recipe_of(self, run: Run) -> Recipe:
        return self.recipe.model_copy(update={"seed": run.seed, "epochs": run.setting.epochs or self.recipe.epochs})

    def model_of(self, setting: Setting, seed: int, training: Rows) -> Keyed:
        """A setting's model, with rows for ids of the rows to train on where it has such."""
        if setting.is_full:
            return indexed(self.base.model_copy(update={"precision": Precision()}), training)
        spec = spec_for(self.base, setting, seed)
        return with_hot_rows(spec, training) if setting.hot_rows else Keyed(spec)

    def config(self, parts: Parts) -> RunConfig:
        """What says whether a folder's runs are of the same rows and columns."""
        training, held_out, validation = parts
        return RunConfig(
            spec=self.base,
            source=training.source.description,
            clicks=training.identity,
            held_out_clicks=held_out.identity,
            validation_clicks=validation.identity if validation else None,
            train_rows=len(training),
            held_out_rows=len(held_out),
            validation_rows=len(validation) if validation else 0,
            recipe=self.recipe,
        )


def train_one(task: Task, run: Run, errors: Connection) -> None:
    """Train in this process and put the outcome into the folder."""
    folder = Folder(task.folder)
    do(lambda: folder.add_outcome(_outcome(task, run, folder)), folder.run_folder(run) / LOG, errors)


def _outcome(task: Task, run: Run, folder: Folder) -> Outcome:
    torch.set_num_threads(1)  # however many run side by side, so that they come to the same
    start = time.monotonic()
    parts = task.open_parts()
    if isinstance(parts.training, ShuffledRows):
        parts = parts._replace(training=replace(parts.training, seed=run.seed))
    spec, keys = task.model_of(run.setting, run.seed, parts.training)
    last = Progress()

    def watch(_: RunConfig, progress: Progress) -> None:
        nonlocal last
        last = progress

    metrics = train(spec, parts, task.recipe_of(run), folder.run_folder(run), watch=watch, keys=keys)
    epochs = last.epoch if last.best_epoch is None else last.best_epoch
    return Outcome(
        setting=run.setting,
        seed=run.seed,
        embedding_bytes=spec.embedding_bytes,
        metrics=metrics,
        history=last.history,
        epochs=epochs,
        rows=last.rows_trained,
        seconds=max((point.seconds for point in last.history if point.epoch <= epochs), default=0.0),
        whole_seconds=max(last.seconds, time.monotonic() - start),  # the former counts those before a stop too
    )
