"""A run: the steps of its epochs, and what is saved and measured between them."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Event

import numpy as np
from tqdm import tqdm

from thimble.export.clicks.golden import golden_features
from thimble.export.clicks.origin import origin
from thimble.export.clicks.rows import ClickError, Clicks, Parts, Rows
from thimble.export.metrics.curves import Curves
from thimble.export.metrics.scored import ScoredRows
from thimble.export.training.advice import advice
from thimble.export.training.ancestry import Parent
from thimble.export.training.checkpoint import Checkpoint, Progress, RunConfig
from thimble.export.training.constant import as_constant, make_constant
from thimble.export.training.errors import RunError
from thimble.export.training.evaluation import SCORING_BATCH, evaluate, scored
from thimble.export.training.history import Point
from thimble.export.training.hot_rows import give_rows
from thimble.export.training.intercept import LastRows, fit_intercept
from thimble.export.training.platt import PlattError, calibrate, unfold
from thimble.export.training.ranks import Ranks
from thimble.export.training.start import START_ROWS, fit_start, start_logits, started
from thimble.export.training.step import Step
from thimble.export.training.stop_requests import stop_requests
from thimble.export.training.stopping import is_over
from thimble.export.training.taught_start import begin_with_embeddings, begin_with_mlps
from thimble.export.training.teacher import Teaching
from thimble.models.hashing import Int64s
from thimble.models.spec import Metrics

# Within an epoch the first validation rows show how it goes: at most so often, and so seldom that it costs little.
WATCHED_ROWS = 20_000
POINTS_AN_EPOCH = 10
POINT_ROWS = 100_000

AfterEpoch = Callable[[Progress], object]
Watch = Callable[[RunConfig, Progress], object]


class Run:
    """What a config says, in its folder: begun, or where its checkpoint left off."""

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        watch: Watch,
        parent: Parent | None,
        keys: Int64s | None,
        ranks: Ranks,
        teaching: Teaching | None,
    ) -> None:
        """RunError when the folder holds another run."""
        self.config = config
        self.watch = watch
        self.ranks = ranks
        self.checkpoint = Checkpoint(folder)
        self.best = Checkpoint(folder, "best.pt")
        self.progress = Progress()
        self.since = time.monotonic()
        self.model = started(config.spec, config.recipe.seed, ranks.device, keys)
        self.step = Step(self.model, config.recipe, ranks, teaching)
        self.resumed = ranks.from_first(self.checkpoint.path.exists)
        if self.resumed:
            self._resume()
        elif parent:
            self.step.go_on_from(parent.state)
            if keys is not None:
                give_rows(self.model, keys, self.step.optimizers)
            if parent.platt:
                unfold(parent.platt, self.model.last_layer)

    def fit(self, parts: Parts, checkpoint_rows: int, after_epoch: AfterEpoch) -> Metrics:
        """Train what is left of it, and evaluate on the held-out rows."""
        rows, held_out, validation = parts
        # what cannot be evaluated on ends the run now, not later
        self._metrics(held_out.first(WATCHED_ROWS).read(SCORING_BATCH))
        watched = self._watched(validation) if validation else None
        if watched is not None:
            self._metrics(watched)
        self.progress.golden = self.ranks.from_first(lambda: golden_features(self.config.spec, held_out))
        self.progress.trained_on, self.progress.held_out = origin(rows), origin(held_out)
        if not self.resumed:
            self._start(rows, validation)
        self.ranks.same_weights(self.model)
        with stop_requests() as stop:
            self._save()  # what cannot be saved ends the run before there is work to lose
            while self.progress.epoch < self.config.recipe.epochs and not is_over(self.progress.validation):
                self._epoch(rows, validation, watched, checkpoint_rows, stop)
                if self.ranks.first:
                    after_epoch(self.progress)
                if self.ranks.any(stop.is_set()):
                    raise KeyboardInterrupt
        if self.progress.best_epoch not in (None, self.progress.epoch):
            self._return_to_best()
        self._save()
        notes = self._calibrate(validation) if self.config.recipe.platt else []
        kept = self.config.recipe.negatives_kept
        found = self.ranks.from_first(lambda: _found(scored(self.model, held_out.read(SCORING_BATCH), kept)))
        metrics, self.progress.curves = found
        self.progress.metrics = metrics
        self.progress.advice = [*notes, *advice(self.config, self.progress)]
        self._save()
        return metrics

    def _start(self, rows: Rows, validation: Rows | None) -> None:
        sample = next((clicks for clicks in rows.read(START_ROWS) if len(clicks.labels)), None)
        if sample is None:
            raise ClickError(f"{rows.source.description}: no usable row to train on")
        if self.config.parent is not None:
            return
        kept, teaching = self.config.recipe.negatives_kept, self.step.teaching
        if teaching and teaching.start:
            if teaching.teacher.embeddings:
                begin_with_embeddings(self.model, teaching.start, rows)
            begin_with_mlps(self.model, teaching.start, sample, kept)
        else:
            fit_start(self.model, sample, kept)
        if validation:
            self._save(self.best)  # but for the last layer a constant has these weights

    def _watched(self, validation: Rows) -> list[Clicks]:
        """The validation rows that are looked at within epochs, kept: files may have to be read whole to find them."""
        if not self.ranks.first:  # the others evaluate nothing
            return []
        return [clicks._replace(raw=None) for clicks in validation.first(WATCHED_ROWS).read(SCORING_BATCH)]

    def _epoch(
        self,
        rows: Rows,
        validation: Rows | None,
        watched: Sequence[Clicks] | None,
        checkpoint_rows: int,
        stop: Event,
    ) -> None:
        """What is left of an epoch, and the metrics after it."""
        progress, size = self.progress, self.config.recipe.batch_size
        start = progress.epoch * len(rows)
        point_rows = max(POINT_ROWS, len(rows) // POINTS_AN_EPOCH)
        bar = tqdm(
            total=len(rows),
            initial=progress.position,
            desc=f"{self.config.spec.name}, epoch {progress.epoch + 1}",
            unit=" rows",
            unit_scale=True,
            mininterval=0.5 if sys.stderr.isatty() else 10,
            disable=not self.ranks.first,
        )
        last = LastRows(rows, size, progress.position, progress.epoch)
        with bar:
            for clicks in rows.read(size, progress.position, progress.epoch):
                before, progress.position = progress.position, min(progress.position + size, len(rows))
                self._learn(clicks)
                last.add(clicks)
                if _passed(point_rows, before, progress.position):
                    point = self._add_point(None if watched is None else self._metrics(watched))
                    auc = {} if point.auc is None else {"AUC": f"{point.auc:.4f}"}
                    bar.set_postfix({"loss": f"{point.loss:.4f}", **auc}, refresh=False)
                    if self.ranks.first:
                        self.watch(self.config, progress)
                bar.update(progress.position - before)
                stopping = self.ranks.any(stop.is_set())
                if stopping or _passed(checkpoint_rows, start + before, start + progress.position):
                    self._save()
                if stopping:
                    raise KeyboardInterrupt
        last_rows = list(last.read())
        fit_intercept(self.model, last_rows, self.config.recipe.negatives_kept)
        metrics = self._metrics(validation.read(SCORING_BATCH)) if validation else None
        if validation and progress.epoch == 0 and self.config.parent is None:
            self._judge_constant(last_rows, validation)
        self._add_point(metrics)
        progress.epoch, progress.position = progress.epoch + 1, 0
        if metrics:
            progress.validation.append(metrics)
            if progress.best_epoch == progress.epoch:
                self._save(self.best)
        self._save()
        if self.ranks.first:
            self.watch(self.config, progress)

    def _judge_constant(self, rows: Sequence[Clicks], validation: Rows) -> None:
        """It knows what the epoch's bias was fitted to, or rates that change would decide between them."""
        heads = self.model.heads
        none = np.empty((0, len(heads)) if heads else 0, np.float32)
        labels = np.concatenate([none, *(clicks.labels for clicks in rows)])  # all may be bad
        self.progress.constant = start_logits(labels, heads, self.config.recipe.negatives_kept)
        with as_constant(self.model, self.progress.constant):
            self.progress.start = self._metrics(validation.read(SCORING_BATCH))

    def _learn(self, clicks: Clicks) -> None:
        if rows := len(clicks.labels):
            self.step(clicks)
            self.progress.loss_rows += rows
            self.progress.rows_trained += rows

    def _metrics(self, batches: Iterable[Clicks]) -> Metrics:
        kept = self.config.recipe.negatives_kept
        return self.ranks.from_first(lambda: evaluate(self.model, batches, kept))

    def _calibrate(self, validation: Rows | None) -> list[str]:
        """Why it cannot be done, if so. It is saved together with the metrics, so a run that resumes does it once."""
        if not validation:
            return ["no Platt scaling: no validation rows"]
        try:
            rows = validation.read(SCORING_BATCH)
            self.progress.platt = calibrate(self.model, rows, self.config.recipe.negatives_kept)
        except PlattError as error:
            return [f"no Platt scaling: {error}"]
        return []

    def _add_point(self, metrics: Metrics | None) -> Point:
        self._take_time()
        progress = self.progress
        point = Point(
            epoch=progress.epoch + 1,
            rows=progress.rows_trained,
            seconds=progress.seconds,
            loss=self.step.take_loss() / progress.loss_rows if progress.loss_rows else progress.history[-1].loss,
            log_loss=sum(it.log_loss for it in metrics.by_head) if metrics else None,
            auc=metrics.auc if metrics else None,
        )
        progress.history.append(point)
        progress.loss_rows = 0
        return point

    def _take_time(self) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self.since
        self.since = now

    def _save(self, checkpoint: Checkpoint | None = None) -> None:
        self._take_time()
        state = self.step.state_dict()
        self.ranks.from_first(lambda: (checkpoint or self.checkpoint).save(self.config, self.progress, state))

    def _return_to_best(self) -> None:
        _, progress, state = self.best.load()
        self.progress.rows_trained = progress.rows_trained
        self.step.load_state_dict(state)
        if self.progress.best_epoch == 0 and self.progress.constant is not None:
            make_constant(self.model, self.progress.constant)

    def _resume(self) -> None:
        # each process reads the file: sent by the first one, all weights would be in memory several times
        config, self.progress, state = self.checkpoint.load()
        differing = config.differing(self.config)
        if differing == ["teacher"] and self.step.teaching and config.teacher:
            raise RunError(
                f"{self.step.teaching.path} is not, or not any more, the teacher {config.teacher.name!r} that "
                f"{self.checkpoint.folder} was begun with; bring that one back, or choose another --run"
            )
        if differing:
            raise RunError(
                f"{self.checkpoint.folder} holds another run ({', '.join(differing)} differ); "
                "choose another --run or remove it"
            )
        self.step.load_state_dict(state)


def _found(rows: ScoredRows) -> tuple[Metrics, Curves]:
    return rows.metrics(), rows.curves()


def _passed(rows: int, before: int, after: int) -> bool:
    """Whether a multiple of so many rows was reached."""
    return before // rows < after // rows
