from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thimble.models.directory import LANES, LOAD, Directory, Filled, fill
from thimble.models.hashing import ID_LIMIT, Int64s

IDS = st.one_of(
    st.integers(0, 40),
    st.integers(ID_LIMIT - 40, ID_LIMIT - 1),
    st.integers(0, ID_LIMIT - 1),
    st.integers(0, (1 << 28) - 1).map(lambda i: i << 32),
)


def check(filled: Filled, ids: Sequence[Sequence[int] | Int64s], absent: Sequence[int] = ()) -> None:
    """Every id of every field has a place of its own, where its key is, and no other id has any."""
    directory, keys = filled
    known = [sorted({int(i) for i in of_field}) for of_field in ids]
    assert keys.shape == (sum(directory.buckets), LANES)
    assert np.count_nonzero(keys >= 0) == sum(map(len, known))
    asked = np.unique([0, ID_LIMIT - 1, *absent, *(i for of_field in known for i in of_field)])
    places = directory.find(keys, np.repeat(asked[:, None], len(ids), axis=1))
    taken = places[places >= 0]
    assert len(set(taken.tolist())) == len(taken)
    assert set(taken.tolist()) <= set(range(directory.places))
    for of_field, column in zip(known, places.T, strict=True):
        assert asked[column >= 0].tolist() == of_field
        assert keys.ravel()[column[column >= 0]].tolist() == of_field


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(IDS, max_size=60), min_size=1, max_size=4), st.lists(IDS, max_size=20))
def test_exactly_the_ids_that_were_filled_in_are_found(ids: list[list[int]], absent: list[int]) -> None:
    check(fill([np.array(of_field, dtype=np.int64) for of_field in ids]), ids, absent)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8, 9, 31, 64, 1000])
@pytest.mark.parametrize("step", [1, 4, 1 << 20, (1 << 30) - 1, 1 << 30, (1 << 31) - 1])
def test_ids_at_equal_distances(count: int, step: int) -> None:
    check(fill([np.arange(count) * step]), [np.arange(count) * step])


def test_ids_that_all_want_the_same_buckets_are_placed_with_other_constants() -> None:
    """Whoever knows the constants can choose such ids."""
    many = np.arange(200_000)
    first, _ = fill([many[:200]])
    chosen = first.choices(many[:, None])[:, 0]
    crowd = np.concatenate([many[(chosen == [5, 9]).all(1)], many[(chosen == [9, 5]).all(1)]])
    assert len(crowd) > 2 * LANES
    rest = np.setdiff1d(many, crowd)[: 200 - len(crowd)]
    ids = np.concatenate([crowd, rest])
    filled = fill([ids])
    assert filled.directory.buckets > first.buckets
    check(filled, [ids])


def test_places_are_taken_up_to_the_load() -> None:
    ids = np.random.default_rng(0).integers(0, ID_LIMIT, 20_000)
    directory, keys = fill([ids, ids[:5000] // 2])
    assert np.count_nonzero(keys >= 0) / directory.places == pytest.approx(LOAD, abs=0.001)
    check(Filled(directory, keys), [ids, ids[:5000] // 2])


def test_the_same_ids_in_any_order_and_number_give_the_same_directory() -> None:
    ids = np.random.default_rng(0).integers(0, ID_LIMIT, 5000)
    one, other = fill([ids]), fill([np.concatenate([ids[::-1], ids])])
    assert one.directory == other.directory
    assert np.array_equal(one.keys, other.keys)
    assert Directory.model_validate_json(one.directory.model_dump_json()) == one.directory


@pytest.mark.parametrize("wrong", [-1, ID_LIMIT])
def test_what_is_no_id_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="ids must be from 0 to 2"):
        fill([np.array([3]), np.array([5, wrong])])
