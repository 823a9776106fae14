"""Whose rows are hot, how they begin, and what becomes of them from day to day."""

from pathlib import Path

import numpy as np
import pytest
import torch

from testing.clicks import ClicksInMemory
from testing.samples import small_spec
from thimble.export.clicks.rows import Clicks, Parts, Rows
from thimble.export.training.ancestry import parent
from thimble.export.training.checkpoint import Checkpoint
from thimble.export.training.hot_rows import promoted, with_hot_rows, with_rows_for
from thimble.export.training.keyed import Keyed
from thimble.export.training.recipe import Recipe
from thimble.export.training.start import started
from thimble.export.training.train import train
from thimble.models.features import Batch
from thimble.models.hashing import Floats, Int64s
from thimble.models.hot_rows import find
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.quantization import MemoryPrecision
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.spec import ModelSpec, Precision

CPU = torch.device("cpu")
SPEC = small_spec(dense=1, kinds=("int", "int"), dim=8, chunk=4, memory=2000)
RECIPE = Recipe(batch_size=128, epochs=1)
HOT = 40


def drawn(rows: int, seed: int = 0, first: int = 1) -> Clicks:
    """Half of the reads of the first field are of HOT ids, from `first` on; the others come about once."""
    random = np.random.default_rng(seed)
    ids = random.integers(1000, 1 << 40, (rows, 2))
    ids[:, 0] = np.where(random.random(rows) < 0.5, first + random.integers(0, HOT, rows), ids[:, 0])
    labels = (random.random(rows) < np.where(ids[:, 0] % 2, 0.7, 0.3)).astype(np.float32)
    return Clicks(labels, Batch(random.normal(size=(rows, 1)).astype(np.float32), ids))


def rows_of(clicks: Clicks) -> Rows:
    return ClicksInMemory(clicks).rows()


def parts_of(clicks: Clicks) -> Parts:
    rows = rows_of(clicks)
    last = len(rows) * 3 // 4
    return Parts(Rows(rows.source, 0, last), Rows(rows.source, last, rows.stop))


def block(spec: ModelSpec) -> BlockEmbedding:
    assert isinstance(spec.embedding, BlockEmbedding)
    return spec.embedding


def hot_ids(hot: Keyed) -> list[list[int]]:
    assert hot.keys is not None
    directory = block(hot.spec).hot
    assert directory is not None
    fields = np.split(hot.keys, np.cumsum(directory.buckets)[:-1])
    return [sorted(field[field >= 0].tolist()) for field in fields]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int4"])
def test_the_hottest_ids_have_rows_within_the_same_bytes(precision: MemoryPrecision) -> None:
    spec = ModelSpec.model_validate(dict(SPEC) | {"precision": Precision(memory=precision)})
    hot = with_hot_rows(spec, rows_of(drawn(4000)))
    assert hot_ids(hot) == [[*range(1, HOT + 1)], []]
    directory = block(hot.spec).hot
    assert directory is not None
    assert directory.ids == HOT and directory.reads == pytest.approx(0.25, abs=0.02)
    assert 0 <= spec.embedding_bytes - hot.spec.embedding_bytes < 4 * block(spec).chunk_size
    assert block(hot.spec).shared_slots(8) < block(spec).memory_shape[0]


def test_where_all_ids_come_equally_often_none_of_them_is_hot() -> None:
    """Every row would take slots from many ids that need them as much."""
    random = np.random.default_rng(0)
    ids = random.integers(1, 1500, (20_000, 2))
    clicks = Clicks(np.zeros(len(ids), np.float32), Batch(np.zeros((len(ids), 1), np.float32), ids))
    assert with_hot_rows(SPEC, rows_of(clicks)) == Keyed(SPEC)


@pytest.mark.parametrize("scheme", ["robe-v1", "full"])
def test_other_schemes_have_none(scheme: str) -> None:
    spec = small_spec(scheme, dense=1, kinds=("int", "int"))
    assert with_hot_rows(spec, rows_of(drawn(1000))) == Keyed(spec)


def test_a_memory_too_small_for_a_row_stays_as_it_is() -> None:
    tiny = small_spec(dense=1, kinds=("int", "int"), dim=8, chunk=4, memory=16)
    assert with_hot_rows(tiny, rows_of(drawn(1000))) == Keyed(tiny)
    assert with_rows_for(tiny, [np.arange(100), np.arange(0)], 0.5) == Keyed(tiny)


def test_rows_begin_as_what_their_ids_are_hashed_to() -> None:
    hot = with_hot_rows(SPEC, rows_of(drawn(4000)))
    model = started(hot.spec, 0, CPU, hot.keys)
    assert isinstance(model.sparse_arch, SharedMemory) and model.sparse_arch.hot is not None
    ids = np.stack([np.arange(1, HOT + 1), np.arange(HOT)], axis=1)
    found = model.sparse_arch(torch.from_numpy(ids))
    slots = model.sparse_arch.hashed_slots(torch.from_numpy(ids))
    assert torch.equal(found, model.sparse_arch.memory[slots].flatten(2))
    assert (model.sparse_arch.hot(torch.from_numpy(ids), slots)[:, 0] >= model.sparse_arch.map.slots).all()


def test_training_changes_a_hot_row_for_its_id_alone(tmp_path: Path) -> None:
    clicks = drawn(4000)
    hot = with_hot_rows(SPEC, parts_of(clicks).training)
    train(hot.spec, parts_of(clicks), RECIPE, tmp_path / "run", keys=hot.keys)
    trained = Checkpoint(tmp_path / "run").load()[2]["model"]
    first = started(hot.spec, 0, CPU, hot.keys).state_dict()
    rows = block(hot.spec).shared_slots(8)
    changed = (trained["sparse_arch.memory"] != first["sparse_arch.memory"]).any(1)[rows:].view(-1, 2).any(1)
    taken = trained["sparse_arch.hot.keys"].flatten() >= 0
    assert torch.equal(changed, taken)


def day(folder: Path, name: str, clicks: Clicks, before: Path | None = None) -> Keyed:
    """Train on a day's clicks, in RUN/NAME."""
    parts = parts_of(clicks)
    ancestor = parent(before) if before else None
    hot = promoted(ancestor, ancestor.spec, parts.training) if ancestor else with_hot_rows(SPEC, parts.training)
    train(hot.spec, parts, RECIPE, folder / name, parent=ancestor, keys=hot.keys)
    return hot


def test_ids_that_become_hot_take_the_rows_of_those_that_are_not_any_more(tmp_path: Path) -> None:
    first = day(tmp_path, "one", drawn(4000))
    run = tmp_path / "one"
    shifted = drawn(4000, seed=1, first=1 + HOT // 2)  # half of them stay hot
    second = promoted(parent(run), first.spec, parts_of(shifted).training)
    assert hot_ids(second) == [[*range(1 + HOT // 2, 1 + HOT // 2 + HOT)], []]
    ours, theirs = block(second.spec), block(first.spec)
    changed = {"ids", "reads"}
    assert ours.hot is not None and theirs.hot is not None
    assert ours.hot.model_dump(exclude=changed) == theirs.hot.model_dump(exclude=changed)
    assert ours.model_dump(exclude={"hot"}) == theirs.model_dump(exclude={"hot"})


def test_until_it_is_trained_a_model_with_other_hot_ids_reads_what_it_did(tmp_path: Path) -> None:
    """All but the ids that lost their row, which go back to what they are hashed to."""
    day(tmp_path, "one", drawn(4000))
    before = parent(tmp_path / "one")
    still = Recipe(batch_size=128, dense_lr=0, sparse_lr=0)
    parts = parts_of(drawn(4000, seed=1, first=1 + HOT // 2))
    hot = promoted(before, before.spec, parts.training)
    train(hot.spec, parts, still, tmp_path / "two", parent=before, keys=hot.keys)
    states = [Checkpoint(tmp_path / name).load()[2] for name in ("one", "two")]
    ids = np.stack([np.arange(1, 2 * HOT), np.arange(1, 2 * HOT)], axis=1)
    old, new = (lookup_in(hot.spec, state["model"], ids) for state in states)
    lost = ids[:, 0] <= HOT // 2
    assert np.array_equal(old[~lost], new[~lost]) and np.array_equal(old[:, 1], new[:, 1])
    assert not np.array_equal(old[lost, 0], new[lost, 0])
    embedding = block(hot.spec)
    assert embedding.hot is not None
    # what Adam remembers of a row came with it
    keys = [state["model"]["sparse_arch.hot.keys"].numpy() for state in states]
    stayed = ids[(ids[:, 0] > HOT // 2) & (ids[:, 0] <= HOT)]
    moments = [state["optimizers"][1]["state"][0]["exp_avg_sq"].numpy() for state in states]
    places = [find(embedding.hot, key, stayed)[:, 0] * 2 + embedding.shared_slots(8) for key in keys]
    assert (places[0] != places[1]).any() and (places[0] >= 0).all()
    steps = [state["optimizers"][1]["state"][0]["step"].item() for state in states]
    decayed = 0.999 ** (steps[1] - steps[0]) * moments[0][places[0]]
    assert decayed.any() and (moments[1][places[1]] >= 0.99 * decayed).all()


def lookup_in(spec: ModelSpec, weights: dict[str, torch.Tensor], ids: Int64s) -> Floats:
    own = {name.removeprefix("sparse_arch."): tensor.numpy() for name, tensor in weights.items()}
    return spec.embedding.lookup(own, ids, 8)


def test_chance_promotes_nobody(tmp_path: Path) -> None:
    first = day(tmp_path, "one", drawn(4000))
    again = promoted(parent(tmp_path / "one"), first.spec, rows_of(drawn(300, seed=3)))
    assert again.keys is not None and first.keys is not None
    assert np.array_equal(again.keys, first.keys), "not even within the directory"


def test_two_days_are_the_same_whenever_they_are_trained(tmp_path: Path) -> None:
    for name in ("a", "b"):
        day(tmp_path / name, "one", drawn(2000))
        day(tmp_path / name, "two", drawn(2000, seed=1, first=20), tmp_path / name / "one")
    one, other = (Checkpoint(tmp_path / name / "two").load()[2]["model"] for name in ("a", "b"))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
