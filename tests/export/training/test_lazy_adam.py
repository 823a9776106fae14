"""Adam that changes what a batch touched."""

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SparseAdam

from thimble.export.training.lazy_adam import LazyAdam

SHAPE = (50, 3)


def gradient(rows: list[int], seed: int) -> Tensor:
    """Of these rows, some of which may come twice."""
    values = torch.randn(len(rows), SHAPE[1], generator=torch.Generator().manual_seed(seed))
    return torch.sparse_coo_tensor(torch.tensor([rows], dtype=torch.int64), values, SHAPE, check_invariants=True)


def step(optimizer: SparseAdam) -> None:
    optimizer.step()  # type: ignore[no-untyped-call]


def test_it_does_what_torchs_does() -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(SHAPE)) for _ in range(2))
    mine, torchs = LazyAdam([ours], lr=0.01), SparseAdam([theirs], lr=0.01)
    for seed, rows in enumerate([[3, 7], [7, 3, 3], [], [7, 49, 0]]):
        ours.grad, theirs.grad = gradient(rows, seed), gradient(rows, seed)
        step(mine)
        step(torchs)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    changed = (ours != 1).any(1).nonzero().flatten().tolist()
    assert changed == [0, 3, 7, 49]
    for name, value in torchs.state[theirs].items():
        torch.testing.assert_close(mine.state[ours][name], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("before", "after"), [(SparseAdam, LazyAdam), (LazyAdam, SparseAdam)])
def test_either_goes_on_from_the_others_state(before: type[SparseAdam], after: type[SparseAdam]) -> None:
    weights = nn.Parameter(torch.ones(SHAPE))
    optimizer = before([weights], lr=0.01)
    weights.grad = gradient([1, 2], 0)
    step(optimizer)
    state = optimizer.state_dict()
    optimizer = after([weights], lr=0.01)
    optimizer.load_state_dict(state)
    step(optimizer)
    assert optimizer.state[weights]["step"] == 2
