"""Transformations of numbers in torch, inside the model so that training and serving cannot differ."""

import torch
from torch import Tensor, nn

from thimble.models.spec import ModelSpec
from thimble.models.transforms.quantiles import QuantileTransform


class PositiveLog(nn.Module):
    """`criteo`: ln(max(x, 0) + 1); a missing number is NaN on the way in and counts as 0."""

    def forward(self, dense: Tensor) -> Tensor:
        return torch.log(torch.where(dense > 0, dense, 0) + 1)  # NaN > 0 is false


class QuantileBins(nn.Module):
    """`quantiles`: how far a number goes through each bin of its column, and whether it is missing."""

    low: Tensor
    width: Tensor
    mean: Tensor
    median: Tensor
    if_missing: Tensor
    if_known: Tensor

    def __init__(self, transform: QuantileTransform) -> None:
        super().__init__()
        for name, array in transform.constants()._asdict().items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)  # the spec has them

    def forward(self, dense: Tensor) -> Tensor:
        missing = dense.isnan()
        known = torch.where(missing, self.median, dense).unsqueeze(2)
        bins = ((known - self.low) / self.width).clamp(0, 1) - self.mean  # [batch, columns, bins]
        return torch.cat([bins.flatten(1), torch.where(missing, self.if_missing, self.if_known)], dim=1)


def transform(spec: ModelSpec) -> PositiveLog | QuantileBins:
    """dense [batch, numbers] -> [batch, the transformation's width]."""
    if isinstance(spec.dense_transform, QuantileTransform):
        return QuantileBins(spec.dense_transform)
    return PositiveLog()
