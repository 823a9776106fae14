"""`thimble.models.quantization` in torch."""

import torch
from torch import Tensor

from thimble.models.quantization import limits


def dequantized(stored: Tensor, step: Tensor, bits: int) -> Tensor:
    """Bytes [rows, n] -> the weights, float32 [rows, n * 8 / bits]."""
    codes = stored
    if bits == 4:
        codes = torch.stack([stored & 15, stored >> 4], dim=2).flatten(1)
    return (codes.to(torch.int16) + limits(bits)[0]).float() * step
