"""Full tables with a row for every id, in numpy and torch. Their file: tests/export/artifact/test_indexed.py."""

import numpy as np
import pytest
import torch

from testing.indexed import indexed_model, table_of
from testing.samples import small_spec
from thimble.models.hashing import ID_LIMIT, Int64s
from thimble.models.nn.registry import recommender

SPEC = small_spec(dense=1, kinds=("int", "string", "hex"), dim=5)
IDS = [np.arange(7), np.append(np.random.default_rng(0).integers(0, ID_LIMIT, 3000), ID_LIMIT - 1), np.array([0])]


def asked(count: int) -> Int64s:
    """Ids of which about half have a row."""
    random = np.random.default_rng(1)
    known = np.stack([random.choice(own, count) for own in IDS], axis=1)
    return np.where(random.random(known.shape) < 0.5, known, random.integers(0, ID_LIMIT, known.shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_torch_equals_numpy_bit_for_bit(dtype: torch.dtype) -> None:
    spec, model = indexed_model(SPEC, IDS)
    table = table_of(model).to(dtype)
    weights = {name: tensor.numpy() for name, tensor in table.state_dict().items()}
    for ids in (asked(500), asked(1), asked(0)):
        by_numpy = spec.embedding.lookup(weights, ids, 5)
        with torch.inference_mode():
            by_torch = table(torch.from_numpy(ids)).numpy()
        assert by_numpy.shape == (len(ids), 3, 5)
        assert by_numpy.tobytes() == by_torch.tobytes()


def test_each_id_has_a_row_of_its_own_and_all_others_of_a_field_one_together() -> None:
    _, model = indexed_model(SPEC, IDS)
    table = table_of(model)
    for f, own in enumerate(IDS):
        ids = np.full((len(own) + 3, 3), ID_LIMIT - 5)
        ids[: len(own), f] = own
        ids[len(own) :, f] = [ID_LIMIT - 2, 1 << 50, 99]  # nobody's
        rows = table.row_numbers(torch.from_numpy(ids)).numpy()
        assert len(set(rows[: len(own), f])) == len(own)
        assert rows[: len(own), f].min() >= 3
        assert set(rows[len(own) :, f]) == {f}


def test_nothing_is_said_of_what_training_did_not_see() -> None:
    _, model = indexed_model(SPEC, IDS)
    unseen = table_of(model)(torch.tensor([[0, ID_LIMIT - 2, 0], [1, 0, ID_LIMIT - 2]]))  # a missing id and nobody's
    assert not unseen[0].any() and not unseen[1, 1:].any()
    assert unseen[1, 0].any()


def test_a_step_changes_the_rows_that_it_read_and_no_other() -> None:
    _, model = indexed_model(SPEC, IDS)
    table = table_of(model)
    ids = torch.from_numpy(asked(20))
    before = table.table.weight.detach().clone()
    table(ids).square().sum().backward()
    assert table.table.weight.grad is not None
    assert table.table.weight.grad.is_sparse
    with torch.sparse.check_sparse_tensor_invariants():  # type: ignore[no-untyped-call]
        torch.optim.Adagrad(table.parameters(), lr=0.1).step()
    changed = (table.table.weight != before).any(1).nonzero().flatten().tolist()
    read = set(table.row_numbers(ids).flatten().tolist())
    zeros = {0, 1, 2, *table.row_numbers(torch.zeros(1, 3, dtype=torch.int64)).flatten().tolist()}
    assert set(changed) == read - zeros  # shared rows and those of missing ids begin at 0, where a square has no slope
    assert not before[:3].any()


def test_before_it_is_filled_every_id_reads_the_shared_row() -> None:
    spec, _ = indexed_model(SPEC, IDS)
    rows = table_of(recommender(spec)).row_numbers(torch.from_numpy(asked(50)))
    assert torch.equal(rows, torch.arange(3).expand(50, 3))
