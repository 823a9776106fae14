"""Rows of an array of which a batch touches few."""

from typing import Any

import torch
from torch import Tensor


class _TouchedRows(torch.autograd.Function):
    """`index_select` of different rows, in ascending order, whose gradient is sparse."""

    @staticmethod
    def forward(ctx: Any, array: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.shape = array.shape
        return array.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        sparse = torch.sparse_coo_tensor(
            rows.unsqueeze(0), gradients[0], ctx.shape, is_coalesced=True, check_invariants=False
        )
        return sparse, None


def touched_rows(array: Tensor, rows: Tensor) -> Tensor:
    """array [length, width] and different rows [n], in ascending order -> [n, width], with a sparse gradient.

    An embedding's own sparse gradient has a row for each read, and to add up those of one row takes it twice as long as
    to look for the different ones beforehand.
    """
    selected: Tensor = _TouchedRows.apply(array, rows)  # type: ignore[no-untyped-call]
    return selected
