"""Which Adam trains what: all of an array, or the rows that a batch touched."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from testing.samples import criteo_spec, small_spec, write_csv
from tests.export.conftest import Run
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.training.optimizers import optimizers
from thimble.export.training.recipe import Recipe
from thimble.export.training.start import started
from thimble.export.training.step import Step
from thimble.models.nn.registry import recommender
from thimble.models.schemes.base import HashedEmbedding


@pytest.mark.parametrize(
    ("scheme", "batch_size", "lazy"),
    [("block", 2, True), ("block", 3, False), ("block", 2048, False), ("full", 2048, True), ("robe-v2", 1, False)],
)
def test_which_adam_trains_the_embeddings(scheme: str, batch_size: int, lazy: bool) -> None:
    """26 fields of 2 chunks: a batch of 2 touches 104 slots at most, an eighth of 1,024 is 128."""
    model = recommender(criteo_spec(scheme))
    _, embeddings = optimizers(model, Recipe(batch_size=batch_size))
    assert isinstance(embeddings, torch.optim.SparseAdam) == lazy
    ids = torch.randint(0, 1000, (batch_size, 26))
    model(torch.randn(batch_size, 13), ids).sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.is_sparse == lazy for parameter in model.sparse_arch.parameters()
    )


def test_a_step_leaves_alone_what_its_batch_does_not_touch() -> None:
    spec = criteo_spec(memory=65536)
    model = started(spec, 0, torch.device("cpu"))
    step = Step(model, Recipe(batch_size=32))
    memory = model.sparse_arch.get_parameter("memory")
    for clicks in GeneratedClicks(spec, 96, 0).read(0, 96, 32):
        before = memory.detach().clone()
        step(clicks)
        assert isinstance(spec.embedding, HashedEmbedding)
        touched = np.unique(spec.embedding.hash_map(spec.embedding_dim).starts(clicks.batch.ids) // 4)
        changed = (memory != before).any(1).nonzero().flatten().numpy()
        assert 0 < len(changed) < len(memory) / 8
        assert {*changed} <= {*touched}


def test_both_ways_give_the_same_gradient() -> None:
    model = recommender(small_spec(memory=100_000))
    dense, ids = torch.randn(9, 3), torch.randint(0, 1 << 60, (9, 7))
    gradients = []
    for batch_size in (2, 2048):
        optimizers(model, Recipe(batch_size=batch_size))
        model.zero_grad()
        model(dense, ids).sum().backward()
        gradient = model.sparse_arch.get_parameter("memory").grad
        assert gradient is not None
        gradients.append(gradient.to_dense() if gradient.is_sparse else gradient)
    assert torch.equal(*gradients)


@pytest.mark.parametrize(("before", "after"), [(2, 64), (64, 2), (2, 2), (64, 64)])
def test_either_adam_takes_over_what_the_other_remembers(before: int, after: int) -> None:
    """And stays of its own kind, with its own rates."""
    first, second = (
        Step(started(criteo_spec(), 0, torch.device("cpu")), Recipe(batch_size=size, sparse_lr=size / 1000))
        for size in (before, after)
    )
    batches = list(GeneratedClicks(criteo_spec(), 6, 0).read(0, 6, 2))
    for clicks in batches[:2]:
        first(clicks)
    second.go_on_from(deepcopy(first.state_dict()))
    ((theirs,), (ours,)) = (step.optimizers[1].state.values() for step in (first, second))
    assert int(ours["step"]) == 2 and all(torch.equal(ours[name], theirs[name]) for name in ("exp_avg", "exp_avg_sq"))
    for step in (first, second):
        step(batches[2])
    assert int(ours["step"]) == 3
    assert second.optimizers[1].param_groups[0]["lr"] == after / 1000
    memories = [step.model.sparse_arch.get_parameter("memory") for step in (first, second)]
    assert torch.equal(*memories) == (before == after)
    assert isinstance(second.optimizers[1], torch.optim.SparseAdam) == (after == 2)


@pytest.mark.parametrize(("memory", "said"), [(8_200, True), (8_190, False)])
def test_a_run_says_if_it_leaves_most_of_the_array_alone(tmp_path: Path, run: Run, memory: int, said: bool) -> None:
    """A batch of 64 touches 512 slots of 2 bytes at most; eight times as many are 8,192 bytes and a step."""
    csv = write_csv(tmp_path / "clicks.csv", 300)
    columns = ["--label", "clicked", "--dense", "age", "--string", "city,shop"]
    ended = run("train", csv, *columns, "--batch-size", 64, "--epochs", 1, "--memory", memory)
    assert ended.status == 0, ended.err
    assert ("so each step updates that part alone\n" in ended.out) == said
