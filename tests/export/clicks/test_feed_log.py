"""Clicks with a long tail: the preset `feed`."""

from functools import cache

import numpy as np
import pytest

from thimble.export.clicks.feed_log import (
    DAY,
    ITEM_DAYS,
    ITEM_EXPONENT,
    LONGEST_SESSION,
    ROWS_A_DAY,
    SESSION_MEDIAN,
    START,
    USER_EXPONENT,
)
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.marginals import FIELDS
from thimble.export.clicks.rows import ClickError, Clicks
from thimble.export.clicks.zipf import Zipf
from thimble.export.metrics.ranking import auc
from thimble.models.presets import FEED_ROWS, preset
from thimble.models.spec import ModelSpec

USER, ITEM, PUBLISHER = 0, 1, 2


@cache
def feed(start: int = 0, stop: int = 100_000, seed: int = 0) -> Clicks:
    (clicks,) = GeneratedClicks(preset("feed"), stop, seed).read(start, stop, stop - start)
    return clicks


def shares(ids: np.ndarray) -> np.ndarray:
    """Of the ids that are there, the most popular first."""
    return np.sort(np.unique(ids, return_counts=True)[1])[::-1] / len(ids)


@pytest.mark.parametrize("field", [2, 11, 15, 20])
def test_items_have_the_shape_of_real_fields_with_a_long_tail(field: int) -> None:
    """Criteo's C3, C12, C16 and C21 over 10,000 lines, where they are present."""
    measured = FIELDS[field]
    rows = round(10_000 * (1 - measured.missing))
    items = feed().batch.ids[:rows, ITEM]
    assert len(np.unique(items)) == pytest.approx(measured.distinct, rel=0.2)
    assert shares(items)[:10].sum() == pytest.approx(measured.top10, abs=0.02)


@pytest.mark.parametrize(
    ("field", "exponent", "ids"), [(USER, USER_EXPONENT, 50_000), (ITEM, ITEM_EXPONENT, 2_000_000)]
)
def test_reads_follow_the_stated_law(field: int, exponent: float, ids: int) -> None:
    """What the most popular hundredth has of the reads, and how many ids are read once, as Zipf's law would have it.

    A user reads for whole sessions, so a user's reads are less even than single draws.
    """
    read = feed().batch.ids[:, field]
    law = Zipf(exponent, ids).draw(np.random.default_rng(0).random(len(read)))
    if field == ITEM:
        found, stated = shares(read), shares(law)
        assert found[: len(found) // 100].sum() == pytest.approx(stated[: len(stated) // 100].sum(), abs=0.02)
        assert (found < 1.5 / len(read)).mean() == pytest.approx((stated < 1.5 / len(read)).mean(), abs=0.02)
        assert len(found) == pytest.approx(len(stated), rel=0.05)
    else:
        (sessions,) = np.nonzero(feed().batch.dense[:, 1] == 0)
        found = shares(read[sessions])
        stated = shares(law[: len(sessions)])
        assert len(found) == pytest.approx(len(stated), rel=0.05)
        assert found[:100].sum() == pytest.approx(stated[:100].sum(), abs=0.03)


def test_sessions_are_as_long_as_measured() -> None:
    """Quantiles of MovieLens-100k's, which end after half an hour: 2, 11, 42, 106 and 277 rows."""
    reached = np.bincount(feed().batch.dense[:, 1].astype(np.int64))  # sessions that have a row at this position
    longer = reached[1:] / reached[0]  # than 1, 2, ... rows
    assert longer[SESSION_MEDIAN - 1] == pytest.approx(0.5, abs=0.03)
    for rows, share in ((2, 0.75), (42, 0.25), (106, 0.1), (277, 0.01)):
        assert longer[rows - 1] == pytest.approx(share, abs=0.06)
    assert len(longer) < LONGEST_SESSION


def test_rows_are_in_time() -> None:
    times = feed().times
    assert times is not None
    assert (np.diff(times) >= 0).all()
    assert times[0] >= START
    assert (times[-1] - START) / DAY == pytest.approx(len(times) / ROWS_A_DAY, abs=0.05)
    late = feed(5_000_000, 5_001_000).times
    assert late is not None and (late[0] - START) / DAY == pytest.approx(50, abs=0.1)


def test_a_session_is_one_users_and_goes_on() -> None:
    clicks = feed()
    assert clicks.times is not None
    user = clicks.batch.ids[np.argmax(clicks.batch.dense[:, 1] == LONGEST_SESSION // 2), USER]
    of_user = clicks.batch.ids[:, USER] == user
    positions, times = clicks.batch.dense[of_user, 1], clicks.times[of_user]
    within = np.diff(positions) == 1
    assert within.mean() > 0.5
    assert np.diff(times)[within].max() < 30 * 60


def test_items_come_and_go() -> None:
    days = [feed(day * ROWS_A_DAY, day * ROWS_A_DAY + 100_000).batch for day in (0, 10, ITEM_DAYS + 1)]
    ids, times = np.unique(days[0].ids[:, ITEM], return_counts=True)
    popular = ids[times > 20]
    stays = [np.isin(popular, day.ids[:, ITEM]).mean() for day in days]
    assert stays == pytest.approx([1, 1 - 10 / ITEM_DAYS, 0], abs=0.1)
    assert (days[0].dense[:, 0].min(), days[0].dense[:, 0].max()) == (0, ITEM_DAYS * 24 - 1)
    newest = days[1].ids[days[1].dense[:, 0] < 9 * 24, ITEM]
    assert len(newest) > 10_000 and not np.isin(newest, ids).any()


def test_ids_fit_their_tables_and_have_one_publisher() -> None:
    ids = feed(9_990_000, 10_000_000).batch.ids
    assert (ids.min(axis=0) >= 1).all()
    assert (ids.max(axis=0) < list(FEED_ROWS.values())).all()
    pairs = np.unique(ids[:, [ITEM, PUBLISHER]], axis=0)
    assert len(pairs) == len(np.unique(ids[:, ITEM]))


@pytest.mark.parametrize("seed", [0, 1])
def test_clicks_can_be_learnt(seed: int) -> None:
    clicks = feed(0, 60_000, seed)
    assert clicks.truth is not None
    assert float(clicks.labels.mean()) == pytest.approx(0.1, abs=0.02)
    best = auc(clicks.labels, clicks.truth)
    assert best is not None and 0.78 < best.value < 0.86


@pytest.mark.parametrize(("start", "stop", "size"), [(4095, 4097, 1), (8000, 20_000, 3000), (12_288, 12_289, 5)])
def test_any_range_equals_that_part_of_the_whole(start: int, stop: int, size: int) -> None:
    parts = list(GeneratedClicks(preset("feed"), stop, 0).read(start, stop, size))
    assert np.array_equal(np.concatenate([part.labels for part in parts]), feed().labels[start:stop])
    assert np.array_equal(np.concatenate([part.batch.ids for part in parts]), feed().batch.ids[start:stop])
    assert np.array_equal(np.concatenate([part.batch.dense for part in parts]), feed().batch.dense[start:stop])
    times = [part.times for part in parts if part.times is not None]
    whole = feed().times
    assert whole is not None and np.array_equal(np.concatenate(times), whole[start:stop])


def test_another_seed_gives_other_clicks() -> None:
    assert not np.array_equal(feed(0, 1000).batch.ids, feed(0, 1000, seed=1).batch.ids)


def test_tables_that_are_too_short_are_refused() -> None:
    spec = preset("feed")
    short = [field.model_copy(update={"rows": 2}) for field in spec.fields]
    with pytest.raises(ClickError, match="at least 3 rows"):
        GeneratedClicks(ModelSpec.model_validate(dict(spec) | {"fields": short}), 10, 0)


def test_small_tables_will_do() -> None:
    spec = preset("feed")
    short = [field.model_copy(update={"rows": 3}) for field in spec.fields]
    source = GeneratedClicks(ModelSpec.model_validate(dict(spec) | {"fields": short}), 5000, 0)
    (clicks,) = source.read(0, 5000, 5000)
    assert set(np.unique(clicks.batch.ids)) == {1, 2}
