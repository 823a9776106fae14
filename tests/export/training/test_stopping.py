"""Training is over when an epoch brings nothing, and the best one's weights are kept."""

import signal
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from testing.samples import small_spec
from thimble.export.clicks.rows import Clicks, ClickSource, Parts, Rows
from thimble.export.training.checkpoint import Checkpoint, Progress, load_trained
from thimble.export.training.evaluation import evaluate
from thimble.export.training.recipe import Recipe
from thimble.export.training.stopping import best_epoch, is_over
from thimble.export.training.train import train
from thimble.models.features import Batch
from thimble.models.hashing import Int64s
from thimble.models.spec import Metrics

SPEC = small_spec(dense=2, kinds=("int", "int"), dim=8, memory=20_000)
RECIPE = Recipe(batch_size=64, epochs=12, dense_lr=0.001, sparse_lr=0.005)
TRAINING, VALIDATION, HELD_OUT = 2000, 1000, 500


class Crowd:
    """Rows whose users say something of the clicks, with so few rows each that a model soon learns them by heart.

    Ctrl-C is pressed as the batch `stop_at` is read.
    """

    description = identity = "a crowd"
    files: Sequence[Path] = ()

    def __init__(self, stop_at: int = 0) -> None:
        random = np.random.default_rng(0)
        rows = TRAINING + VALIDATION + HELD_OUT
        self.ids = random.integers(1, 500, (rows, 2))
        self.labels = (random.random(rows) < np.where(self.ids[:, 0] % 3 == 0, 0.7, 0.2)).astype(np.float32)
        self.stop_at = stop_at
        self.trained_on = 0

    def count(self) -> int:
        return len(self.labels)

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        for first in range(start, stop, size):
            part = slice(first, min(first + size, stop))
            if first < TRAINING and size == RECIPE.batch_size:
                self.trained_on += 1
                if self.trained_on == self.stop_at:
                    signal.raise_signal(signal.SIGINT)
            ids = self.ids[part]
            yield Clicks(self.labels[part], Batch(np.zeros((len(ids), 2), np.float32), ids), partial(raw, ids))


def raw(ids: Int64s) -> list[list[int]]:
    return [[0] * len(ids), [0] * len(ids), *ids.T.tolist()]


def parts(source: ClickSource) -> Parts:
    ends = np.cumsum([TRAINING, VALIDATION, HELD_OUT]).tolist()
    training, validation, held_out = (Rows(source, a, b) for a, b in zip([0, *ends], ends, strict=False))
    return Parts(training, held_out, validation)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    model: dict[str, torch.Tensor] = Checkpoint(folder).load()[2]["model"]
    return model


def metrics(log_loss: float) -> Metrics:
    return Metrics(rows=100, base_rate=0.5, log_loss=log_loss)


@pytest.mark.parametrize(
    ("losses", "best", "over"),
    [
        ([0.6], 1, False),
        ([0.6, 0.5], 2, False),
        ([0.6, 0.5, 0.55], 2, True),
        ([0.6, 0.6], 1, True),
    ],
)
def test_an_epoch_that_brings_nothing_ends_training(losses: list[float], best: int, over: bool) -> None:
    validation = [metrics(loss) for loss in losses]
    assert (best_epoch(validation), is_over(validation)) == (best, over)


@pytest.mark.parametrize(("start", "best"), [(0.4, 0), (0.5, 0), (0.51, 2)])
def test_a_constant_is_the_best_where_no_epoch_has_a_lower_loss(start: float, best: int) -> None:
    assert best_epoch([metrics(0.6), metrics(0.5), metrics(0.55)], metrics(start)) == best


def test_before_the_first_epoch_nothing_is_over() -> None:
    assert not is_over([])


def test_the_best_epochs_weights_are_kept_and_nothing_was_selected_on_the_held_out_rows(tmp_path: Path) -> None:
    epochs: list[Progress] = []
    source = Crowd()
    found = train(SPEC, parts(source), RECIPE, tmp_path, after_epoch=lambda it: epochs.append(it.model_copy(deep=True)))
    losses = [metrics.log_loss for metrics in epochs[-1].validation]
    assert 2 < len(losses) < RECIPE.epochs
    best = int(np.argmin(losses))
    assert best == len(losses) - 2
    trained = load_trained(tmp_path)
    again = evaluate(trained.dlrm, parts(source).validation.read(256))  # type: ignore[union-attr]
    assert again.log_loss == pytest.approx(losses[best], abs=1e-6)
    assert evaluate(trained.dlrm, parts(source).held_out.read(256)).log_loss == pytest.approx(found.log_loss, abs=1e-6)
    assert trained.spec.provenance is not None
    assert trained.spec.provenance.epochs == best + 1
    assert trained.spec.provenance.rows_trained == (best + 1) * TRAINING
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    _, progress, _ = Checkpoint(tmp_path).load()
    assert [point.log_loss for point in progress.history] == losses
    assert [point.rows for point in progress.history] == [TRAINING * (i + 1) for i in range(len(losses))]
    assert all(point.loss > 0 and point.seconds > 0 for point in progress.history)


@pytest.mark.parametrize("batch", [1, 32, 33, 70, 96])
def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path: Path, batch: int) -> None:
    whole = train(SPEC, parts(Crowd()), RECIPE, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(SPEC, parts(Crowd(stop_at=batch)), RECIPE, tmp_path / "stopped", checkpoint_rows=700)
    assert train(SPEC, parts(Crowd()), RECIPE, tmp_path / "stopped") == whole
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(torch.equal(first[name], second[name]) for name in first)
    histories = [Checkpoint(tmp_path / name).load()[1].history for name in ("whole", "stopped")]
    times = [[point.model_copy(update={"seconds": 0}) for point in history] for history in histories]
    assert times[0] == times[1]


def test_without_validation_rows_all_epochs_are_trained_and_the_last_is_kept(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 6})
    train(SPEC, parts(Crowd())._replace(validation=None), recipe, tmp_path)
    _, progress, _ = Checkpoint(tmp_path).load()
    assert (progress.rows_trained, len(progress.history), progress.validation) == (6 * TRAINING, 6, [])
    trained = load_trained(tmp_path)
    assert trained.spec.provenance is not None and trained.spec.provenance.epochs == 6
