from functools import cache

import numpy as np
import pytest

from testing.samples import criteo_spec, small_spec, with_bags
from thimble.export.clicks.generate import GeneratedClicks, click_log
from thimble.export.clicks.hidden_truth import Interactions
from thimble.export.clicks.marginals import FIELDS, NUMBERS, field_shapes
from thimble.export.clicks.rows import ClickError, Clicks
from thimble.export.clicks.zipf import Doubles
from thimble.export.metrics.ranking import auc
from thimble.models.bags import Pooling
from thimble.models.hashing import Int64s
from thimble.models.heads import Head
from thimble.models.presets import CRITEO_KAGGLE_ROWS, CRITEO_TB_ROWS, preset
from thimble.models.spec import ModelSpec, answering

# Different ids among the first 1,000 of 10,000 real Criteo lines, C1..C26.
DISTINCT_IN_1000 = [
    *(53, 191, 674, 566, 22, 6, 696, 28, 2, 531, 605, 648, 552),
    *(15, 518, 619, 9, 359, 123, 3, 633, 5, 12, 420, 28, 321),
]


@cache
def kaggle(rows: int = 10_000, seed: int = 0) -> Clicks:
    (clicks,) = GeneratedClicks(preset("criteo-kaggle"), rows, seed).read(0, rows, rows)
    return clicks


def test_known_table_lengths_have_known_shapes() -> None:
    assert field_shapes(CRITEO_KAGGLE_ROWS) == FIELDS
    assert sorted(field_shapes(CRITEO_TB_ROWS)) == sorted(FIELDS)


@pytest.mark.parametrize("field", range(26))
def test_ids_are_distributed_as_measured(field: int) -> None:
    shape = FIELDS[field]
    ids = kaggle().batch.ids[:, field]
    present = ids[ids != 0]
    assert 1 - len(present) / len(ids) == pytest.approx(shape.missing, abs=0.02)
    # a missing value counts as one of the ids in neither
    assert len(np.unique(present)) == pytest.approx(shape.distinct, rel=0.15, abs=2)
    assert len(np.unique(ids[:1000][ids[:1000] != 0])) == pytest.approx(DISTINCT_IN_1000[field], rel=0.35, abs=2)
    counts = np.sort(np.unique(present, return_counts=True)[1])[::-1] / len(present)
    assert counts[0] == pytest.approx(shape.top, abs=0.02)
    assert counts[:10].sum() == pytest.approx(shape.top10, abs=0.03)
    assert ids.min() >= 0 and ids.max() < CRITEO_KAGGLE_ROWS[field]


@pytest.mark.parametrize("number", range(13))
def test_numbers_are_distributed_as_measured(number: int) -> None:
    shape = NUMBERS[number]
    values = kaggle().batch.dense[:, number]
    known = values[~np.isnan(values)]
    assert 1 - len(known) / len(values) == pytest.approx(shape.missing, abs=0.02)
    assert known.min() >= shape.least
    assert (known == np.rint(known)).all()
    for quantile, expected in zip((0.05, 0.5, 0.95, 0.99), shape.quantiles, strict=True):
        assert np.quantile(known, quantile) == pytest.approx(expected, rel=0.25, abs=1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_label_rate_and_best_auc(seed: int) -> None:
    clicks = kaggle(40_000, seed)
    assert set(np.unique(clicks.labels)) == {0, 1}
    assert float(clicks.labels.mean()) == pytest.approx(0.218, abs=0.02)
    assert clicks.truth is not None
    best = auc(clicks.labels, clicks.truth)
    assert best is not None
    assert 0.79 < best.value < 0.85
    predicted = 1 / (1 + np.exp(-clicks.truth))
    confident = predicted > 0.5
    assert float(clicks.labels[confident].mean()) == pytest.approx(float(predicted[confident].mean()), abs=0.03)


def same(first: Clicks, second: Clicks) -> bool:
    assert first.truth is not None and second.truth is not None
    return (
        np.array_equal(first.labels, second.labels)
        and np.array_equal(first.truth, second.truth)
        and np.array_equal(first.batch.ids, second.batch.ids)
        and np.array_equal(first.batch.dense, second.batch.dense, equal_nan=True)
    )


def test_the_same_seed_gives_the_same_clicks() -> None:
    again = next(GeneratedClicks(preset("criteo-kaggle"), 10_000, 0).read(0, 10_000, 10_000))
    assert same(again, kaggle())
    other = next(GeneratedClicks(preset("criteo-kaggle"), 10_000, 1).read(0, 10_000, 10_000))
    assert not np.array_equal(other.batch.ids, again.batch.ids)
    assert not np.array_equal(other.labels, again.labels)


@pytest.mark.parametrize("spec", [criteo_spec(), with_bags(criteo_spec())])
@pytest.mark.parametrize(
    ("start", "stop", "size"),
    [(0, 1, 5), (4095, 4097, 1), (4096, 8192, 4096), (8192, 20_000, 3000), (1234, 20_000, 777), (5, 19_000, 19_000)],
)
def test_any_range_equals_that_part_of_the_whole(spec: ModelSpec, start: int, stop: int, size: int) -> None:
    source = GeneratedClicks(spec, 20_000, 5)
    (whole,) = source.read(0, 20_000, 20_000)
    parts = list(GeneratedClicks(spec, 20_000, 5).read(start, stop, size))
    assert all(len(part.labels) == size for part in parts[:-1])
    assert np.array_equal(np.concatenate([part.labels for part in parts]), whole.labels[start:stop])
    assert np.array_equal(np.concatenate([part.batch.ids for part in parts]), whole.batch.ids[start:stop])
    dense = np.concatenate([part.batch.dense for part in parts])
    assert np.array_equal(dense, whole.batch.dense[start:stop], equal_nan=True)


def test_an_empty_range() -> None:
    assert list(GeneratedClicks(criteo_spec(), 9000, 5).read(4096, 4096, 100)) == []


def test_longer_streams_begin_alike() -> None:
    short = next(GeneratedClicks(criteo_spec(), 5000, 5).read(0, 5000, 5000))
    long = next(GeneratedClicks(criteo_spec(), 50_000, 5).read(0, 5000, 5000))
    assert same(short, long)


def test_the_truth_has_interactions() -> None:
    """No sum of one effect a field and one a number reproduces the truth, however fitted."""
    (clicks,) = GeneratedClicks(criteo_spec(rows=20), 40_000, 5).read(0, 40_000, 40_000)
    assert clicks.truth is not None
    one_hot = [(clicks.batch.ids[:, f : f + 1] == np.arange(20)) for f in range(26)]
    numbers = np.log(np.maximum(np.nan_to_num(clicks.batch.dense), 0) + 1)
    inputs = np.concatenate([*one_hot, numbers, np.tanh(numbers / 4 - 0.5)], axis=1).astype(np.float64)
    learnt, tested = slice(0, 30_000), slice(30_000, 40_000)
    weights = np.linalg.lstsq(inputs[learnt], clicks.truth[learnt], rcond=None)[0]
    left = clicks.truth[tested] - inputs[tested] @ weights
    assert left.var() > 0.05 * clicks.truth[tested].var()
    additive, best = (auc(clicks.labels[tested], scores) for scores in (inputs[tested] @ weights, clicks.truth[tested]))
    assert additive is not None and best is not None
    assert best.value > additive.value + 0.005


def test_bags_are_full_of_ids_as_single_valued_fields_have_them() -> None:
    plain = criteo_spec(rows=5000)
    spec = with_bags(plain)
    (clicks,) = GeneratedClicks(spec, 20_000, 5).read(0, 20_000, 20_000)
    (alone,) = GeneratedClicks(plain, 20_000, 5).read(0, 20_000, 20_000)
    assert clicks.labels.mean() == pytest.approx(0.218, abs=0.01)
    for f, (field, place) in enumerate(zip(spec.fields, spec.inputs[1].places, strict=True)):
        ids, singles = clicks.batch.ids[:, place], alone.batch.ids[:, f]
        assert ids.min() >= 0 and ids.max() < field.rows
        if field.bag:
            assert ids.shape == (20_000, field.bag.values) and ids.min() > 0
            singles = singles[singles > 0]
        top, often = (np.sort(np.bincount(it.ravel()) / it.size)[-5:] for it in (ids, singles))
        np.testing.assert_allclose(top, often, atol=0.03)


def test_the_rates_of_ids_are_those_with_which_they_are_drawn() -> None:
    spec = with_bags(criteo_spec())
    (clicks,) = GeneratedClicks(spec, 20_000, 5).read(0, 20_000, 20_000)
    rates = click_log(spec, 5).rates()
    for (rate, ids), place in zip(rates, spec.inputs[1].places, strict=True):
        drawn = clicks.batch.ids[:, place]
        assert rate @ ids == pytest.approx(drawn[0].size)
        assert rate.max() == pytest.approx(np.bincount(drawn.ravel()).max() / 20_000, rel=0.1)


def test_further_labels_depend_on_bags_too() -> None:
    heads = (Head(name="click"), Head(name="buy", given="click"))
    spec = answering(with_bags(criteo_spec()), heads)
    (clicks,) = GeneratedClicks(spec, 20_000, 5).read(0, 20_000, 20_000)
    clicked, bought = clicks.labels.T
    assert clicked.mean() == pytest.approx(0.218, abs=0.01)
    assert 0.05 < bought[clicked > 0].mean() < 0.5 and not bought[clicked == 0].any()


@pytest.mark.parametrize("pooling", ["sum", "mean", "max"])
def test_what_a_bag_says_depends_on_each_of_its_ids_and_not_on_their_order(pooling: Pooling) -> None:
    def logits(ids: Int64s) -> Doubles:
        truth = Interactions(np.zeros(len(ids)))
        truth.add_bags(ids, np.uint64(7), np.ones(ids.shape), pooling)
        return truth.logits()

    ids = np.random.default_rng(0).integers(1, 1 << 20, (500, 3))
    np.testing.assert_allclose(logits(ids), logits(ids[:, ::-1]), rtol=1e-5)
    for column in range(3):
        changed = ids.copy()
        changed[:, column] += 1 << 30
        assert (logits(changed) != logits(ids)).mean() > 0.3
    alone = Interactions(np.zeros(500))
    alone.add(ids[:, 0], np.uint64(7), np.ones(500))
    np.testing.assert_allclose(logits(ids[:, :1]), alone.logits(), rtol=1e-6)
    assert 0.4 < logits(ids).std() / alone.logits().std() < 1.5


def test_other_features_are_refused() -> None:
    for spec in (small_spec(), small_spec(dense=13, kinds=("hex",) * 26), with_bags(preset("feed"))):
        with pytest.raises(ClickError, match="for the features of a preset only"):
            GeneratedClicks(spec, 1000, 0)
    tiny = criteo_spec(rows=2)
    assert isinstance(tiny, ModelSpec)
    with pytest.raises(ClickError, match="at least 3 rows"):
        GeneratedClicks(tiny, 1000, 0)
