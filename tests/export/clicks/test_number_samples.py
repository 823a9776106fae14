import numpy as np

from thimble.export.clicks.number_samples import SAMPLE, NumberSamples


def test_few_values_are_all_kept_and_missing_ones_counted() -> None:
    samples = NumberSamples(2)
    samples.add(np.array([[1, np.nan], [2, np.nan]], np.float32))
    samples.add(np.array([[np.nan, np.nan], [-3, np.nan]], np.float32))
    first, second = samples.samples()
    assert first.values.tolist() == [1, 2, -3] and first.missing == 0.25
    assert len(second.values) == 0 and second.missing == 1
    assert NumberSamples(1).samples()[0].missing == 1


def test_of_many_values_a_fair_share_is_kept_whatever_their_order() -> None:
    rows = 5 * SAMPLE
    dense = np.stack([np.arange(rows), np.where(np.arange(rows) % 100, np.nan, np.arange(rows))], axis=1)
    found = []
    for _ in range(2):
        samples = NumberSamples(2)
        for part in np.array_split(dense.astype(np.float32), 40):
            samples.add(part)
        found.append(samples.samples())
    often, seldom = found[0]
    assert len(often.values) == len(np.unique(often.values)) == SAMPLE
    quarters = np.quantile(often.values, (0.25, 0.5, 0.75)) / rows
    np.testing.assert_allclose(quarters, (0.25, 0.5, 0.75), atol=0.02)
    assert len(seldom.values) == -(-rows // 100) and abs(seldom.missing - 0.99) < 1e-5
    assert all(np.array_equal(a.values, b.values) for a, b in zip(*found, strict=True))
