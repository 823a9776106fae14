"""A model starts at the base rate, and each of its units can learn."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from testing.samples import small_spec
from thimble.export.clicks.rows import Clicks
from thimble.export.training.evaluation import score
from thimble.export.training.start import fit_start, started
from thimble.models.features import Batch
from thimble.models.nn.recommender import Recommender

ROWS = 2000
SPEC = small_spec(dense=4, kinds=("int", "int"), dim=16, memory=2000)
CPU = torch.device("cpu")


def clicks(numbers: bool, rate: float = 0.2) -> Clicks:
    random = np.random.default_rng(0)
    dense = random.normal(3, 20, (ROWS, 4)).astype(np.float32) if numbers else np.full((ROWS, 4), np.nan, np.float32)
    labels = (np.arange(ROWS) < rate * ROWS).astype(np.float32)
    return Clicks(labels, Batch(dense, random.integers(0, 500, (ROWS, 2))))


def silent_units(model: Recommender, rows: Clicks) -> int:
    """How many units behind a ReLU are 0 for all rows."""
    outputs: list[torch.Tensor] = []
    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    hooks = [relu.register_forward_hook(lambda _, __, output: outputs.append(output)) for relu in relus]
    score(model, rows.batch)
    for hook in hooks:
        hook.remove()
    assert len(outputs) == len(relus) > 1
    return sum(int((output.amax(0) <= 0).sum()) for output in outputs)


@pytest.mark.parametrize("numbers", [True, False])
def test_no_unit_starts_dead(numbers: bool) -> None:
    rows = clicks(numbers)
    silent = []
    for seed in range(5):
        model = started(SPEC, seed, CPU)
        silent.append(silent_units(model, rows))
        fit_start(model, rows)
        assert silent_units(model, rows) == 0
    assert numbers or min(silent) > 4  # as they were drawn


@pytest.mark.parametrize("rate", [0.001, 0.2, 0.9])
def test_scores_start_at_the_base_rate(rate: float) -> None:
    rows = clicks(True, rate)
    model = started(SPEC, 0, CPU)
    fit_start(model, rows)
    logits = torch.logit(torch.from_numpy(score(model, rows.batch)).double())
    assert logits.mean().item() == pytest.approx(np.log(rate / (1 - rate)), rel=0.25, abs=0.01)


@pytest.mark.parametrize("labels", [[0.0], [1.0], [0.0] * 50])
def test_rows_of_one_class_give_a_finite_start(labels: Sequence[float]) -> None:
    rows = Clicks(np.array(labels, np.float32), clicks(True).batch.part(0, len(labels)))
    model = started(SPEC, 0, CPU)
    fit_start(model, rows)
    scores = score(model, rows.batch)
    assert np.isfinite(scores).all() and ((scores < 0.5) == (labels[0] == 0)).all()
