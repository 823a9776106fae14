"""Formulas against the project's own hash maps."""

import numpy as np
import pytest

from thimble.export.plan.read_ids import known_ids
from thimble.export.plan.sharing import (
    Places,
    ReadGaps,
    all_shared,
    distinct_embeddings,
    places,
    slot_load,
    spread,
)
from thimble.export.plan.traffic import Traffic, grouped
from thimble.models.hashing import Int64s
from thimble.models.inputs import Categorical
from thimble.models.presets import preset
from thimble.models.schemes import embedding_for
from thimble.models.schemes.base import HashedEmbedding

SHARED = ("block", "robe-v1", "robe-v2")


def embedding(scheme: str, fields: int, dim: int, chunk: int, floats: int, seed: int = 0) -> HashedEmbedding:
    categoricals = [Categorical(name=f"f{f}", kind="int", rows=1 << 40) for f in range(fields)]
    made = embedding_for(scheme, categoricals, dim, floats * 4, chunk, seed)
    assert isinstance(made, HashedEmbedding)
    return made


def starts(of: HashedEmbedding, dim: int, fields: list[Int64s]) -> Int64s:
    """Where the chunks of each field's ids lie, [all ids, chunks]."""
    found = []
    for f, ids in enumerate(fields):
        rows = np.zeros((len(ids), len(fields)), np.int64)
        rows[:, f] = ids
        found.append(of.hash_map(dim).starts(rows)[:, f])
    return np.concatenate(found)


def random_ids(count: int, seed: int = 0) -> Int64s:
    return np.unique(np.random.default_rng(seed).integers(1, 1 << 60, count))


@pytest.mark.parametrize("scheme", SHARED)
@pytest.mark.parametrize(("dim", "chunk", "floats"), [(8, 4, 4000), (16, 4, 60_000), (8, 8, 80_000)])
def test_different_embeddings_are_as_many_as_expected(scheme: str, dim: int, chunk: int, floats: int) -> None:
    of = embedding(scheme, 2, dim, chunk, floats)
    lying = starts(of, dim, [random_ids(60_000), random_ids(20_000, 1)])
    found = len(np.unique(lying, axis=0))
    assert distinct_embeddings(len(lying), places(of, dim)) == pytest.approx(found, rel=0.01)


def test_row_numbers_in_block_have_as_many_on_average() -> None:
    draws = [embedding("block", 1, 8, 4, 400, seed) for seed in range(60)]
    found = [len(np.unique(starts(of, 8, [np.arange(8000)]), axis=0)) for of in draws]
    assert distinct_embeddings(8000, places(draws[0], 8)) == pytest.approx(np.mean(found), rel=0.03)


@pytest.mark.parametrize("scheme", ["robe-v1", "robe-v2"])
def test_a_robe_map_never_has_more_than_chunks_times_places(scheme: str) -> None:
    of = embedding(scheme, 1, 16, 4, 1000)
    found = len(np.unique(starts(of, 16, [random_ids(40_000)]), axis=0))
    expected = distinct_embeddings(1e9, places(of, 16))
    assert expected == pytest.approx(4 * of.hash_map(16).slots)
    assert 0.95 * expected < found <= round(expected)


@pytest.mark.parametrize("scheme", SHARED)
def test_pairs_share_all_chunks_as_often_as_expected(scheme: str) -> None:
    """Of all pairs of ids, of several draws of them, and of constants where these are drawn."""
    alike = pairs = 0
    for seed in range(20):
        of = embedding(scheme, 1, 8, 4, 128 if scheme == "block" else 500, seed)
        lying = starts(of, 8, [random_ids(2000, seed)])
        _, times = np.unique(lying, axis=0, return_counts=True)
        alike += int((times * (times - 1)).sum()) // 2
        pairs += len(lying) * (len(lying) - 1) // 2
    assert all_shared(places(of, 8)) == pytest.approx(alike / pairs, rel=0.03)


@pytest.mark.parametrize(("chunks", "all_of_one"), [(2, 0.813), (4, 0.504), (8, 0.149), (16, 0.070)])
@pytest.mark.parametrize("scheme", ["robe-v1", "robe-v2"])
def test_how_many_pairs_that_meet_in_their_first_chunk_of_robes_maps_are_one_embedding(
    scheme: str, chunks: int, all_of_one: float
) -> None:
    of = embedding(scheme, 1, 8 * chunks, 8, 3000)
    lying = starts(of, 8 * chunks, [random_ids(8000)])
    order = np.argsort(lying[:, 0], kind="stable")
    neighbours = lying[order]
    meet = neighbours[1:, 0] == neighbours[:-1, 0]
    one = (neighbours[1:] == neighbours[:-1]).all(axis=1)
    assert meet.sum() > 1000
    # neighbours are not all pairs, but no other kind of pair
    assert one.sum() / meet.sum() == pytest.approx(all_of_one, abs=0.03)
    assert all_shared(places(of, 8 * chunks)) * of.hash_map(8 * chunks).slots == pytest.approx(all_of_one, abs=0.001)


@pytest.mark.parametrize(("chunks", "all_of_one"), [(2, 0.685), (4, 0.337), (8, 0.080), (16, 0.036)])
@pytest.mark.parametrize("scheme", ["robe-v1", "robe-v2"])
def test_how_many_pairs_that_meet_in_any_chunk_of_robes_maps_are_one_embedding(
    scheme: str, chunks: int, all_of_one: float
) -> None:
    dim = 8 * chunks
    of = embedding(scheme, 1, dim, 8, 3000)
    lying = starts(of, dim, [random_ids(1500)])
    meet = (lying[:, None] == lying[None]).sum(axis=2)[np.triu_indices(len(lying), 1)]
    assert (meet > 0).sum() > 300
    assert (meet == chunks).sum() / (meet > 0).sum() == pytest.approx(all_of_one, abs=0.06)
    one = all_shared(places(of, dim)) * of.hash_map(dim).slots
    assert one / (2 - one) == pytest.approx(all_of_one, abs=0.001)


@pytest.mark.parametrize("scheme", SHARED)
def test_a_last_chunk_that_is_read_in_part_counts_for_what_is_read(scheme: str) -> None:
    of = embedding(scheme, 1, 10, 8, 4000)
    lying = starts(of, 10, [random_ids(40_000)])
    read = (lying[..., None] + np.arange(8)).reshape(len(lying), 16)[:, :10]
    reads = np.bincount(read.ravel(), minlength=of.memory_length)
    assert reads.mean() == pytest.approx(slot_load(len(lying), of, 10))
    if scheme == "block":  # what a slot begins with is in both chunks
        assert [reads[0::8].mean(), reads[2::8].mean()] == pytest.approx(len(lying) * np.array([16, 8]) / 4000)
    else:
        inner = reads[200:-200].reshape(-1, 100).mean(axis=1)  # the first and last floats have fewer places
        assert inner == pytest.approx(np.full(len(inner), slot_load(len(lying), of, 10)), rel=0.1)


def test_others_share_is_near_for_many_ids_alone() -> None:
    two = ReadGaps(Traffic(np.array([0.1]), np.array([2.0]))).shared_share(0.5)
    assert two == pytest.approx(0.368, abs=0.002)  # and 1/4 is right: half of the weights have half of the updates
    many = ReadGaps(Traffic(np.array([0.1]), np.array([2000.0]))).shared_share(0.001)
    right = 1 - (1 - 0.999**2000) / (2000 * 0.001)  # the mean of 1/(1 + Binomial(1999, .001))
    assert many == pytest.approx(right, abs=0.002)


@pytest.mark.parametrize("scheme", SHARED)
@pytest.mark.parametrize("floats", [4000, 40_000, 400_000])
@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.0, 1.3])
def test_others_share_of_what_trains_a_float(scheme: str, floats: int, exponent: float) -> None:
    """From the true traffic of every float, for some draws of who is how popular."""
    of = embedding(scheme, 2, 16, 4, floats)
    sizes = (20_000, 5000)
    laws = [np.arange(1.0, size + 1) ** -exponent for size in sizes]
    rates = np.concatenate([law / law.sum() for law in laws])
    owns = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        ids = [random.integers(0, 1 << 60, size) for size in sizes]
        read = (starts(of, 16, ids)[..., None] + np.arange(4)).reshape(len(rates), 16)
        traffic = np.bincount(read.ravel(), np.repeat(rates, 16), floats)
        owns.append((rates[:, None] / traffic[read]).mean(axis=1) @ rates / rates.sum())
    expected = ReadGaps(grouped(rates, np.ones(len(rates)))).shared_share(spread(of, 16))
    assert expected == pytest.approx(1 - np.mean(owns), abs=0.015)


def test_ids_that_are_alone_share_nothing() -> None:
    assert ReadGaps(Traffic(np.array([]), np.array([]))).shared_share(0.1) == 0
    assert ReadGaps(Traffic(np.array([0.5]), np.array([1.0]))).shared_share(1e-6) == pytest.approx(0, abs=1e-5)
    assert distinct_embeddings(7, Places.independent(200, 10**6)) == 7
    assert all_shared(Places.independent(200, 10**6)) == 0


def test_figures_of_criteo_tb_take_no_list_of_its_ids() -> None:
    spec = preset("criteo-tb")
    ids = known_ids(spec, 1000)
    assert ids.different == 187_767_399
    assert ids.traffic.total_ids == pytest.approx(ids.different, rel=1e-5)
    assert ids.traffic.reads == pytest.approx(26)
    assert len(ids.traffic.rates) < 5000
    robe = embedding_for("robe-v1", spec.fields, 128, 10_800_000, 32, 0)
    assert isinstance(robe, HashedEmbedding)
    assert distinct_embeddings(ids.different, places(robe, 128)) == pytest.approx(10.8e6, rel=0.002)
    assert slot_load(ids.different, robe, 128) == pytest.approx(187_767_399 * 128 / 2_700_000)
