"""Trade-offs whose runs nobody had to wait for."""

import math
from collections.abc import Sequence

import numpy as np

from testing.clicks import ClicksInMemory
from testing.samples import criteo_spec, small_spec
from thimble.export.clicks.rows import Clicks, Parts, Rows
from thimble.export.tradeoff.grid import FULL, Grid, Run, Setting
from thimble.export.tradeoff.outcomes import Outcome
from thimble.export.training.checkpoint import RunConfig
from thimble.export.training.history import Point
from thimble.export.training.recipe import Recipe
from thimble.models.features import Batch
from thimble.models.spec import Metrics

FULL_AUC = 0.79
SMALL = small_spec(dense=1, kinds=("int",) * 3, rows=300, dim=8)
CONFIG = RunConfig(
    spec=criteo_spec(),
    source="generated clicks, seed 0",
    clicks="clicks",
    held_out_clicks="held out",
    train_rows=1000,
    held_out_rows=100,
    validation_rows=50,
    recipe=Recipe(),
)


def block(compression: float, chunk: int = 8) -> Setting:
    return Setting(scheme="block", chunk=chunk, compression=compression)


def grid(*compressions: float, seeds: int = 3, chunks: Sequence[int] = (8,)) -> Grid:
    compressed = [block(compression, chunk) for chunk in chunks for compression in compressions]
    return Grid([Setting(scheme=FULL)], compressed, seeds)


def auc_of(run: Run, bend: float = 300) -> float:
    """As good as full tables up to the bend, and .01 worse for each factor of ten beyond; seeds differ by .0002."""
    loss = 0.01 * max(0.0, math.log10(run.setting.compression / bend))
    return FULL_AUC - loss + 0.0002 * (run.seed % 2)


def outcome(run: Run, auc: float | None = None, seconds: float = 10, embedding_bytes: int | None = None) -> Outcome:
    """Of a run that was half as good at half of its rows."""
    auc = auc_of(run) if auc is None else auc
    looks = [(500, auc - 0.1), (1000, auc)]
    return Outcome(
        setting=run.setting,
        seed=run.seed,
        embedding_bytes=embedding_bytes or int(1e9 / run.setting.compression),
        metrics=Metrics(
            rows=100,
            base_rate=0.2,
            log_loss=0.45,
            normalised_entropy=1.5 - auc,
            auc=auc,
            auc_interval=(auc - 0.05, auc + 0.05),
        ),
        history=[
            Point(epoch=1, rows=rows, seconds=seconds * rows / 1000, loss=0.5, log_loss=0.5, auc=value)
            for rows, value in looks
        ],
        epochs=1,
        rows=1000,
        seconds=seconds,
        whole_seconds=seconds + 1,
    )


def small_parts(rows: int) -> Parts:
    """Clicks that two fields say something of: so many to train on, 200 to validate and 400 to evaluate on."""
    random = np.random.default_rng(0)
    ids = 1 + (299 * random.random((rows + 600, 3)) ** 4).astype(np.int64)  # some come often, most seldom
    odds = np.where(ids[:, 0] % 2, 1.0, -1.0) + np.where(ids[:, 1] % 3, -1.0, 1.0)
    labels = (random.random(len(ids)) < 1 / (1 + np.exp(-odds))).astype(np.float32)
    source = ClicksInMemory(Clicks(labels, Batch(random.normal(size=(len(ids), 1)).astype(np.float32), ids)))
    return Parts(Rows(source, 0, rows), Rows(source, rows + 200, rows + 600), Rows(source, rows, rows + 200))
