import numpy as np

from thimble.export.metrics.curves import curves
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.metrics.scored import ScoredRows


def test_batches_are_as_good_as_one() -> None:
    random = np.random.default_rng(0)
    labels, scores, truth = (random.random(100) < 0.4).astype(np.float32), random.random(100), random.random(100)
    groups, weights = random.integers(0, 9, 100), np.where(labels > 0.5, 1.0, 4.0)
    scored = ScoredRows(negatives_kept=0.25)
    assert len(scored) == 0
    for part in (slice(0, 30), slice(30, 30), slice(30, 100)):
        scored.add(labels[part], scores[part], truth[part], groups[part])
    assert len(scored) == 100
    assert scored.metrics() == held_out_metrics(labels, scores, truth, groups, weights)
    assert scored.curves() == curves(labels, scores, weights)


def test_neither_truth_nor_groups() -> None:
    scored = ScoredRows()
    scored.add(np.array([0.0, 1.0]), np.array([0.2, 0.7]))
    assert (scored.metrics().best_auc, scored.metrics().groups) == (None, None)
