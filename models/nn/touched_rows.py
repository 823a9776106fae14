"""Rows of an array of which a batch touches few."""

from typing import Any

import torch
from torch import Tensor


class TouchedRows(torch.autograd.Function):
    """`index_select` of rows [rows, width], whose gradient is sparse and has each row that was read once.

    An embedding's own sparse gradient has a row for each read, and to add up those of one row takes it twice as long.
    """

    @staticmethod
    def forward(ctx: Any, array: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.shape = array.shape
        return array.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        (gradient,) = gradients
        touched, inverse = rows.unique(return_inverse=True)
        sums = gradient.new_zeros(len(touched), *ctx.shape[1:]).index_add_(0, inverse, gradient)
        sparse = torch.sparse_coo_tensor(
            touched.unsqueeze(0), sums, ctx.shape, is_coalesced=True, check_invariants=False
        )
        return sparse, None


def touched_rows(array: Tensor, rows: Tensor) -> Tensor:
    """array [length, width] and rows [n] -> [n, width], with a sparse gradient."""
    selected: Tensor = TouchedRows.apply(array, rows)  # type: ignore[no-untyped-call]
    return selected
