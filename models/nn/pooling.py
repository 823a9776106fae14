"""`thimble.models.pooling` in torch: what rows read is looked up and pooled at once.

An embedding of each id of each row is made nowhere, neither on the way forward nor back. What is pooled are rows of an
array, chunks of embeddings or whole ones, of which each that is read is taken out of it once: it is rounded once, and
its gradient is made once. That gradient is a sum over the bags that read it, so it is a pooling too, of the gradients
of bags.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from thimble.models.bags import Bag, widths
from thimble.models.nn.touched_rows import touched_rows

_MOST_INT32 = (1 << 31) - 1


class Present(NamedTuple):
    """The ids that rows have, in the order of their columns: `ids` and their `fields`, int64 [ids].

    `lengths` says how many of them each field of each row has, int64 [batch, fields].
    """

    ids: Tensor
    fields: Tensor
    lengths: Tensor


class Reads(NamedTuple):
    """Which rows of an array are read: the different ones, `touched` [rows], in ascending order.

    Of each read, [chunks, ids], `place` says where in `touched` its row is. `order` [reads] sorts the reads by their
    rows, of which each has so many `times` [rows].
    """

    touched: Tensor
    place: Tensor
    order: Tensor
    times: Tensor

    @classmethod
    def of(cls, rows: Tensor, length: int) -> "Reads":
        """From the row of each read, [chunks, ids], of an array of so many rows."""
        flat = rows.flatten()
        # with 32 bits sorting takes half as long
        in_order, order = (flat.int() if length <= _MOST_INT32 else flat).sort(stable=True)
        touched, times = in_order.unique_consecutive(return_counts=True)  # type: ignore[no-untyped-call]
        place = torch.empty_like(order)
        place[order] = torch.repeat_interleave(times)
        return cls(touched.long(), place.view(rows.shape), order, times)


class BagPooling(nn.Module):
    """How the ids of rows, [batch, slots], belong to fields, some of which are bags, and how these are pooled."""

    columns: Tensor
    in_bag: Tensor
    means: Tensor
    largest: Tensor

    def __init__(self, bags: Sequence[Bag | None]) -> None:
        super().__init__()
        self.bags = tuple(bags)
        fields = torch.repeat_interleave(torch.tensor(widths(bags)))
        pooling = [bag.pooling if bag else None for bag in bags]
        in_bag = torch.tensor([it is not None for it in pooling])
        self.has_means, self.has_largest = "mean" in pooling, "max" in pooling
        self.register_buffer("columns", fields, persistent=False)  # the field of each
        self.register_buffer("in_bag", in_bag[fields], persistent=False)
        self.register_buffer("means", torch.tensor([it == "mean" for it in pooling]).unsqueeze(1), persistent=False)
        self.register_buffer("largest", torch.tensor([it == "max" for it in pooling]), persistent=False)

    def there(self, ids: Tensor) -> Tensor:
        """Which of [batch, slots] are ids: all but a bag's zeros, for a missing one is an id of its own."""
        return (ids != 0) | ~self.in_bag

    def present(self, ids: Tensor) -> Present:
        """Those of [batch, slots]."""
        there = self.there(ids)
        row, column = there.nonzero(as_tuple=True)
        fields = self.columns[column]
        count = len(self.largest)
        lengths = torch.bincount(row * count + fields, minlength=len(ids) * count)
        return Present(ids[there], fields, lengths.view(len(ids), count))

    def looked_up(self, table: Tensor, rows_of: Callable[[Tensor, Tensor], Tensor], ids: Tensor) -> Tensor:
        """ids [batch, slots] -> rows of a table [rows, dim], pooled, in float32: [batch, fields, dim].

        `rows_of` says for ids [batch, columns] and the columns' fields which rows they read, [batch, columns].
        """
        present = self.present(ids)
        reads = Reads.of(rows_of(present.ids.unsqueeze(0), present.fields), len(table))
        pooled: Tensor = self(touched_rows(table, reads.touched).float(), reads, present)
        return pooled

    def forward(self, weights: Tensor, reads: Reads, present: Present) -> Tensor:
        """The rows that are touched, float32 [rows, width], pooled: [batch, fields, chunks * width]."""
        lengths = present.lengths
        if not self.has_largest:
            pooled = _pooled(_Sum, weights, reads, lengths)
        else:
            of_largest = self.largest[present.fields]
            sums = _pooled(_Sum, weights, _some(reads, ~of_largest), lengths * ~self.largest)
            largest = _pooled(_Largest, weights, _some(reads, of_largest), lengths * self.largest)
            pooled = torch.where(self.largest.unsqueeze(1), largest, sums)
        if self.has_means:
            pooled = pooled / torch.where(self.means, lengths.clamp(min=1).unsqueeze(2), 1)
        return pooled


def _some(reads: Reads, chosen: Tensor) -> Reads:
    """Those of some ids, [ids]."""
    rows = reads.place[:, chosen]
    return reads._replace(
        place=rows,
        order=rows.flatten().sort(stable=True).indices,
        times=torch.bincount(rows.flatten(), minlength=len(reads.touched)),
    )


def _pooled(how: type[torch.autograd.Function], weights: Tensor, reads: Reads, lengths: Tensor) -> Tensor:
    """[batch, fields, chunks * width], of an empty bag zero. Ids lie one bag after the other."""
    chunks = len(reads.place)
    pooled: Tensor = how.apply(weights, reads, lengths.flatten().repeat(chunks))  # type: ignore[no-untyped-call]
    return pooled.view(chunks, *lengths.shape, weights.shape[1]).permute(1, 2, 0, 3).flatten(2)


def _starts(lengths: Tensor) -> Tensor:
    return lengths.cumsum(0) - lengths


class _Sum(torch.autograd.Function):
    """weights [rows, width] -> [bags, width], of bags with so many reads each."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, reads: Reads, lengths: Tensor) -> Tensor:
        ctx.save_for_backward(reads.order, reads.times, lengths)
        return nn.functional.embedding_bag(reads.place.flatten(), weights, _starts(lengths), mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        order, times, lengths = ctx.saved_tensors
        bag = torch.repeat_interleave(lengths, output_size=len(order))
        # embedding_bag's own takes more than twice as long
        summed = nn.functional.embedding_bag(bag[order], gradients[0].contiguous(), _starts(times), mode="sum")
        return summed, None, None


class _Largest(torch.autograd.Function):
    """The same with the largest instead of the sum. Of equal ones the first has the gradient."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, reads: Reads, lengths: Tensor) -> Tensor:
        largest: Tensor
        largest, _, _, rows = torch.embedding_bag(weights, reads.place.flatten(), _starts(lengths), mode=2)
        ctx.save_for_backward(rows, lengths)
        ctx.shape = weights.shape
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        rows, lengths = ctx.saved_tensors
        there = lengths.nonzero().squeeze(1)
        gradient = gradients[0].index_select(0, there)
        length, width = ctx.shape
        weight = rows.index_select(0, there) * width + torch.arange(width, device=rows.device)
        summed = gradient.new_zeros(length * width).scatter_add_(0, weight.flatten(), gradient.flatten())
        return summed.view(length, width), None, None
