"""`thimble.models.hashing` in torch."""

import torch
from torch import Tensor, nn

from thimble.models.hashing import LOW, LOW_BITS, Int64s


def hashes(ids: Tensor, constants: Tensor, prime: int) -> Tensor:
    """ids [batch, fields] and constants [3, fields, n] -> [batch, fields, n], all int64."""
    a, b, s = constants.unbind()
    low, high = (ids & (LOW - 1)).unsqueeze(-1), (ids >> LOW_BITS).unsqueeze(-1)
    hashed: Tensor = (low * a + high * b + s) % prime
    return hashed


def of_fields(constants: Tensor, fields: Tensor | None) -> Tensor:
    """Constants [k, fields, n] of so many columns of ids, whose `fields` are these, or None: one column a field."""
    return constants if fields is None else constants.index_select(1, fields)


class Hashes(nn.Module):
    """The same with constants that the spec has, so no checkpoint need have them."""

    constants: Tensor

    def __init__(self, constants: Int64s, prime: int) -> None:
        super().__init__()
        self.prime = prime
        self.register_buffer("constants", torch.from_numpy(constants), persistent=False)

    def forward(self, ids: Tensor, fields: Tensor | None = None) -> Tensor:
        """ids [batch, fields], or of columns whose `fields` are these, -> [batch, fields, n]."""
        return hashes(ids, of_fields(self.constants, fields), self.prime)
