"""Models with bags are trained as any others: in each form of embeddings, resumed, taught, with hot rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from testing.clicks import ClicksInMemory
from testing.samples import small_spec
from thimble.export.clicks.frequent_ids import frequent_ids, id_counts
from thimble.export.clicks.rows import Clicks, Parts, Rows
from thimble.export.plan.read_ids import counted_ids
from thimble.export.training.checkpoint import Checkpoint, load_trained
from thimble.export.training.full_tables import indexed
from thimble.export.training.hot_rows import with_hot_rows
from thimble.export.training.keyed import Keyed
from thimble.export.training.optimizers import optimizers
from thimble.export.training.projection import project
from thimble.export.training.recipe import Recipe
from thimble.export.training.start import started
from thimble.export.training.train import train
from thimble.models.bags import Bag, Pooling
from thimble.models.features import Batch
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.quantization import MemoryPrecision
from thimble.models.spec import Metrics, ModelSpec

CPU = torch.device("cpu")
TAGS, VALUES = 40, 6
RECIPE = Recipe(batch_size=64, epochs=3, dense_lr=3e-3, sparse_lr=1e-2)
ROWS, TRAINED = 3000, 2500


def spec_of(
    scheme: str = "block", pooling: Pooling = "mean", memory: int = 4000, precision: MemoryPrecision = "fp32"
) -> ModelSpec:
    """A user and a bag of tags."""
    spec = small_spec(scheme, dense=1, kinds=("int", "int"), dim=8, chunk=4, memory=memory, precision=precision)
    user, tags = spec.fields
    tags = tags.model_copy(update={"bag": Bag(values=VALUES, pooling=pooling)})
    return spec.model_copy(update={"fields": [user, tags]})


def drawn(rows: int = ROWS) -> Clicks:
    """Even tags are clicked, and odd ones are not: rows with no more of these than of those. Some have none."""
    random = np.random.default_rng(0)
    ids = np.zeros((rows, 1 + VALUES), np.int64)
    ids[:, 0] = random.integers(0, 30, rows)
    tags = 1 + (TAGS * random.random((rows, VALUES)) ** 2).astype(np.int64)
    ids[:, 1:] = np.where(random.random((rows, VALUES)) < random.random((rows, 1)), tags, 0)
    leaning = np.where(ids[:, 1:] == 0, 0, 1 - 2 * (ids[:, 1:] % 2)).sum(1)
    labels = (random.random(rows) < 1 / (1 + np.exp(-2.0 * leaning))).astype(np.float32)
    return Clicks(labels, Batch(random.normal(size=(rows, 1)).astype(np.float32), ids))


def parts_of(source: ClicksInMemory) -> Parts:
    return Parts(Rows(source, 0, TRAINED), Rows(source, TRAINED, ROWS))


def fit(model: Keyed, folder: Path, source: ClicksInMemory | None = None) -> Metrics:
    parts = parts_of(source or ClicksInMemory(drawn()))
    return train(model.spec, parts, RECIPE, folder, checkpoint_rows=500, keys=model.keys)


def model_of(form: str, pooling: Pooling = "mean") -> Keyed:
    rows = parts_of(ClicksInMemory(drawn())).training
    match form:
        case "indexed":
            return indexed(spec_of("full", pooling), rows)
        case "hot":
            return with_hot_rows(spec_of(pooling=pooling, memory=600), rows)
        case "int4" | "int8":
            return Keyed(spec_of(pooling=pooling, precision=form))
        case "touched":
            return Keyed(spec_of(pooling=pooling, memory=100_000))
        case _:
            return Keyed(spec_of(form, pooling))


@pytest.mark.parametrize("pooling", ["sum", "mean", "max"])
@pytest.mark.parametrize("form", ["block", "int4", "touched", "hot", "robe-v1", "full", "indexed"])
def test_what_bags_say_is_learnt(form: str, pooling: Pooling, tmp_path: Path) -> None:
    metrics = fit(model_of(form, pooling), tmp_path / "run")
    assert metrics.auc is not None and metrics.auc > (0.65 if pooling == "max" else 0.8)  # labels follow from sums
    assert load_trained(tmp_path / "run").golden.keys() == {"d0", "f0", "f1"}


@dataclass
class Stopped(ClicksInMemory):
    """It is interrupted while the rows of the second epoch are read."""

    reads: int = 0

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        if size == RECIPE.batch_size and start < TRAINED:
            self.reads += 1
        for number, clicks in enumerate(super().read(start, stop, size)):
            if self.reads == 2 and number == 20:
                raise KeyboardInterrupt
            yield clicks


@pytest.mark.parametrize("form", ["int4", "touched", "hot", "indexed"])
def test_a_run_that_goes_on_ends_as_one_that_was_not_stopped(form: str, tmp_path: Path) -> None:
    model = model_of(form, "max")
    fit(model, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(model, tmp_path / "stopped", Stopped(drawn()))
    fit(model, tmp_path / "stopped")
    whole, stopped = (weights(tmp_path / name) for name in ("whole", "stopped"))
    assert whole.keys() == stopped.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, stopped[name]), name


def weights(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = Checkpoint(folder).load()[2]["model"]
    return state


def test_ids_are_counted_over_all_of_a_bag_and_what_is_none_is_not() -> None:
    spec, clicks = spec_of(), drawn()
    rows = ClicksInMemory(clicks).rows()
    users, tags = id_counts(rows, spec.bags)
    assert users.times.sum() == ROWS and users.ids[0] == 0  # a missing user is one
    there = clicks.batch.ids[:, 1:][clicks.batch.ids[:, 1:] > 0]
    ids, times = np.unique(there, return_counts=True)
    assert tags.ids.tolist() == ids.tolist() and tags.times.tolist() == times.tolist()
    assert [0 in ids for ids in frequent_ids(rows, spec.bags)] == [True, False]
    assert counted_ids(rows, spec.bags).traffic.reads == pytest.approx(1 + len(there) / ROWS)
    assert counted_ids(rows, spec.bags).different == 30 + TAGS


def test_the_hottest_ids_of_bags_have_rows() -> None:
    hot = model_of("hot")
    assert hot.keys is not None and (hot.keys > 0).any()
    directory = hot.spec.embedding.model_dump()["hot"]
    tags = hot.keys[directory["buckets"][0] :]
    assert {1, 2, 3} <= set(tags.ravel().tolist()) and 0 not in tags


def test_bags_that_are_all_empty(tmp_path: Path) -> None:
    clicks = drawn()
    clicks.batch.ids[:, 1:] = 0
    for form in ("touched", "hot", "indexed"):
        metrics = fit(model_of(form), tmp_path / form, ClicksInMemory(clicks))
        assert metrics.auc is not None


@pytest.mark.parametrize(("memory", "sparse"), [(4 * 895, False), (4 * 896, True)])
def test_how_much_a_batch_touches_follows_from_how_many_ids_a_row_has_room_for(memory: int, sparse: bool) -> None:
    """Eight times what 8 rows of a user and 6 tags read in two chunks each are 896 slots of 4 weights."""
    spec = spec_of(memory=memory)
    model = started(spec, 0, CPU)
    optimizers(model, Recipe(batch_size=8))
    assert isinstance(model.sparse_arch, SharedMemory) and model.sparse_arch.sparse_gradients == sparse


def test_a_memory_of_bags_begins_as_a_teachers_tables() -> None:
    rows = ClicksInMemory(drawn()).rows()
    student = with_hot_rows(spec_of(memory=3000, pooling="sum"), rows)
    taught = indexed(spec_of("full", "sum"), rows)
    teacher = started(taught.spec, 1, CPU, taught.keys)
    with torch.no_grad():
        for parameter in teacher.sparse_arch.parameters():
            parameter.normal_(0, 0.3)
    model = started(student.spec, 0, CPU, student.keys)
    assert isinstance(model.sparse_arch, SharedMemory)
    own = {name: tensor.numpy() for name, tensor in teacher.state_dict().items()}
    project(model.sparse_arch, taught.spec, own, id_counts(rows, student.spec.bags))
    ids = torch.from_numpy(drawn(200).batch.ids)
    with torch.inference_mode():
        ours, theirs = model.sparse_arch(ids), teacher.sparse_arch(ids)
    assert ((ours - theirs) ** 2).mean() < 0.2 * (theirs**2).mean()
