"""Trains a DLRM on clicks read in order, once or several times over."""

import math
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from tqdm import tqdm

from thimble.export.clicks.golden import golden_features
from thimble.export.clicks.origin import origin
from thimble.export.clicks.rows import ClickError, Clicks, Parts, Rows
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.training.checkpoint import Checkpoint, Progress, RunConfig, RunError
from thimble.models.features import Batch
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.spec import Metrics, ModelSpec

SCORING_BATCH = 4096
WATCHED_ROWS = 20_000
WATCHES = 10


@dataclass(frozen=True)
class Recipe:
    """How to train: the dense part by Adam, the embeddings by Adagrad (full tables with sparse gradients)."""

    batch_size: int = 2048
    epochs: int = 1
    dense_lr: float = 0.001
    sparse_lr: float = 0.05
    seed: int = 0
    checkpoint_rows: int = 1_000_000


def train(spec: ModelSpec, parts: Parts, recipe: Recipe, folder: Path) -> Metrics:
    """Train into `folder`, or go on where its checkpoint left off, and evaluate on the held-out rows.

    The same spec, rows and recipe give the same weights on the same machine, whether interrupted or not.
    RunError when the folder holds another run.
    """
    rows, held_out = parts.training, parts.held_out
    config = RunConfig(
        spec=spec,
        source=rows.source.description,
        clicks=rows.source.identity,
        held_out_clicks=held_out.source.identity,
        train_rows=len(rows),
        held_out_rows=len(held_out),
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        dense_lr=recipe.dense_lr,
        sparse_lr=recipe.sparse_lr,
        seed=recipe.seed,
    )
    run = _Run(config, Checkpoint(folder))
    return run.progress.metrics or run.fit(rows, held_out, recipe.checkpoint_rows)


def score(dlrm: Recommender, batch: Batch) -> npt.NDArray[np.float32]:
    """Click probabilities, float32 [rows]."""
    device = next(dlrm.parameters()).device
    with torch.inference_mode():
        logits = dlrm(*(torch.from_numpy(tensor).to(device) for tensor in batch))
        scores: npt.NDArray[np.float32] = torch.sigmoid(logits).cpu().numpy()
    return scores


def evaluate(dlrm: Recommender, batches: Iterable[Clicks]) -> Metrics:
    """Metrics over all the rows. ClickError: there is none."""
    labels, scores, truth = [], [], []
    for clicks in batches:
        if not len(clicks.labels):
            continue
        labels.append(clicks.labels)
        scores.append(score(dlrm, clicks.batch))
        if clicks.truth is not None:
            truth.append(clicks.truth)
    if not labels:
        raise ClickError("the held-out clicks have no usable row to evaluate on")
    return held_out_metrics(np.concatenate(labels), np.concatenate(scores), np.concatenate(truth) if truth else None)


def optimizers(model: Recommender, dense_lr: float, sparse_lr: float) -> list[torch.optim.Optimizer]:
    """What trains a model. RunError: a parameter that would not be trained, or twice."""
    groups = model.parameter_groups()
    counts = Counter(id(parameter) for group in groups for parameter in group)
    for name, parameter in model.named_parameters():
        if (count := counts[id(parameter)]) != 1:
            raise RunError(f"parameter {name} is in {count} optimizer groups of {type(model).__name__}, not in one")
    return [torch.optim.Adam(groups.dense, lr=dense_lr), torch.optim.Adagrad(groups.sparse, lr=sparse_lr)]


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """Set by Ctrl-C or SIGTERM, so that a run stops between two steps; asked a second time it stops at once."""
    stop = threading.Event()

    def ask(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, previous[number])

    previous: dict[int, Any] = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Run:
    def __init__(self, config: RunConfig, checkpoint: Checkpoint) -> None:
        # without it cuBLAS is not deterministic, and torch refuses to go on
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        # the default, but torch warns unless told so
        torch.sparse.check_sparse_tensor_invariants.disable()  # type: ignore[no-untyped-call]
        torch.manual_seed(config.seed)
        self.config = config
        self.checkpoint = checkpoint
        self.progress = Progress()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dlrm = recommender(config.spec).to(self.device)
        self.optimizers = optimizers(self.dlrm, config.dense_lr, config.sparse_lr)
        if checkpoint.path.exists():
            self._resume()

    def fit(self, rows: Rows, held_out: Rows, checkpoint_rows: int) -> Metrics:
        watched = list(held_out.first(WATCHED_ROWS).read(SCORING_BATCH))
        evaluate(self.dlrm, watched)  # rows that cannot be evaluated on end the run now, not when it is over
        known = {
            "golden": golden_features(self.config.spec, held_out),
            "trained_on": origin(rows),
            "held_out": origin(held_out),
        }
        self.progress = self.progress.model_copy(update=known)
        total = len(rows) * self.config.epochs
        watch_rows = max(1, total // WATCHES)
        shown: dict[str, str] = {}
        losses: list[float] = []
        bar = tqdm(
            total=total,
            initial=self.progress.epoch * len(rows) + self.progress.position,
            desc=self.config.spec.name,
            unit=" rows",
            unit_scale=True,
            mininterval=0.5 if sys.stderr.isatty() else 10,
        )
        with bar, _stop_requests() as stop:
            self._save()  # what cannot be saved ends the run before there is work to lose
            for clicks in self._batches(rows):
                before, done = int(bar.n), self.progress.epoch * len(rows) + self.progress.position
                if len(clicks.labels):
                    losses = [*losses[-49:], self._step(clicks)]
                    shown["loss"] = f"{np.mean(losses):.4f}"
                if done // watch_rows > before // watch_rows:
                    ranked = evaluate(self.dlrm, watched).auc
                    shown["AUC"] = "-" if ranked is None else f"{ranked:.4f}"
                bar.set_postfix(shown, refresh=False)
                bar.update(done - before)
                if stop.is_set() or done // checkpoint_rows > before // checkpoint_rows:
                    self._save()
                if stop.is_set():
                    raise KeyboardInterrupt
        if not self.progress.rows_trained:
            raise ClickError(f"{rows.source.description}: no usable row to train on")
        self._save()
        metrics = evaluate(self.dlrm, held_out.read(SCORING_BATCH))
        self.progress = self.progress.model_copy(update={"metrics": metrics})
        self._save()
        return metrics

    def _batches(self, rows: Rows) -> Iterator[Clicks]:
        """Batches still to be trained on; `progress` says what is done once the current one is."""
        size = self.config.batch_size
        for epoch in range(self.progress.epoch, self.config.epochs):
            position = self.progress.position if epoch == self.progress.epoch else 0
            for clicks in rows.read(size, position, epoch):
                position = min(position + size, len(rows))
                trained = self.progress.rows_trained + len(clicks.labels)
                done = {"epoch": epoch, "position": position, "rows_trained": trained}
                self.progress = self.progress.model_copy(update=done)
                yield clicks

    def _step(self, clicks: Clicks) -> float:
        """Train on one batch; its mean loss."""
        tensors = [torch.from_numpy(tensor).to(self.device) for tensor in clicks.batch]
        labels = torch.from_numpy(clicks.labels).to(self.device)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(self.dlrm(*tensors), labels)
        mean = loss.item()
        if not math.isfinite(mean):
            raise RunError(f"training diverged, the loss is {mean}; try lower learning rates in a new --run")
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers:
            optimizer.step()
        return mean

    def _save(self) -> None:
        state: dict[str, Any] = {
            "model": self.dlrm.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        self.checkpoint.save(self.config, self.progress, state)

    def _resume(self) -> None:
        config, progress, state = self.checkpoint.load()
        differing = [name for name in RunConfig.model_fields if getattr(config, name) != getattr(self.config, name)]
        if differing:
            raise RunError(
                f"{self.checkpoint.folder} holds another run ({', '.join(differing)} differ); "
                "choose another --run or remove it"
            )
        self.progress = progress
        self.dlrm.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
