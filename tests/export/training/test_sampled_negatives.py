"""A model trained on a log that kept a share of its negatives gives the scores of the full log."""

from pathlib import Path

import numpy as np
import pytest
import torch

from testing.clicks import RARE_SPEC, ClicksInMemory, part, rare_clicks, sampled
from thimble.export.artifact.agreement import onnx_scores, onnx_session
from thimble.export.artifact.pipeline import export
from thimble.export.artifact.precision_cost import precision_cost
from thimble.export.clicks.rows import Parts
from thimble.export.training.checkpoint import load_trained
from thimble.export.training.evaluation import evaluate
from thimble.export.training.recipe import Recipe
from thimble.export.training.train import train

ROWS, HELD_OUT, KEPT = 60_000, 30_000, 0.1
RECIPE = Recipe(batch_size=128, epochs=2, dense_lr=0.004, negatives_kept=KEPT)


def test_scores_are_those_of_the_full_log(tmp_path: Path) -> None:
    clicks = rare_clicks(ROWS + HELD_OUT)
    log, held_out = part(clicks, slice(ROWS)), part(clicks, slice(ROWS, None))
    rows, some = ClicksInMemory(sampled(log, KEPT)), ClicksInMemory(sampled(held_out, KEPT))
    metrics = train(RARE_SPEC, Parts(rows.rows(), some.rows()), RECIPE, tmp_path)

    base_rate = held_out.labels.mean()
    trained = load_trained(tmp_path)
    path = export(trained, tmp_path).path
    scores = onnx_scores(onnx_session(str(path)), held_out.batch)
    assert scores.mean() == pytest.approx(base_rate, rel=0.1)
    full = evaluate(trained.dlrm, [held_out])
    assert full.log_loss < -(base_rate * np.log(base_rate) + (1 - base_rate) * np.log(1 - base_rate))
    assert metrics.base_rate == pytest.approx(full.base_rate, rel=0.05)  # as far as the draw of the negatives tells it
    assert metrics.log_loss == pytest.approx(full.log_loss, rel=0.05)
    assert trained.spec.provenance is not None
    assert trained.spec.provenance.negatives_kept == KEPT

    with torch.no_grad():
        trained.dlrm.last_layer.bias.add_(1)  # as if the file's precision had cost so much
    cost, other = precision_cost(path, trained.dlrm, [some.clicks], KEPT), evaluate(trained.dlrm, [some.clicks], KEPT)
    assert cost.log_loss == pytest.approx(metrics.log_loss - other.log_loss, rel=1e-3)
