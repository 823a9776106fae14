"""Transformations of numbers in torch, inside the model so that training and serving cannot differ."""

import torch
from torch import Tensor, nn

from thimble.models.spec import ModelSpec
from thimble.models.transforms.criteo import CriteoTransform
from thimble.models.transforms.quantiles import QuantileTransform
from thimble.models.transforms.raw import RawTransform
from thimble.models.transforms.scaled import LARGEST, ScaledTransform


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


class Scaled(nn.Module):
    """`scaled`: the logarithm of the columns that have one, then a linear map of each."""

    missing: Tensor
    log: Tensor
    shift: Tensor
    least: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(self, transform: ScaledTransform) -> None:
        super().__init__()
        constants = transform.constants()
        for name, array in constants._asdict().items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)  # the spec has them
        self.has_logs = bool(constants.log.any())

    def forward(self, dense: Tensor) -> Tensor:
        known = torch.where(dense.isnan(), self.missing, dense)
        if self.has_logs:
            known = torch.where(self.log, torch.maximum(known + self.shift, self.least).log(), known)
        return ((known - self.centre) / self.scale).clamp(-LARGEST, LARGEST)


def transform(spec: ModelSpec) -> PositiveLog | QuantileBins | Scaled | nn.Identity:
    """dense [batch, numbers] -> [batch, the transformation's width]."""
    match spec.dense_transform:
        case QuantileTransform() as quantiles:
            return QuantileBins(quantiles)
        case ScaledTransform() as scaled:
            return Scaled(scaled)
        case RawTransform():
            return nn.Identity()
        case CriteoTransform():
            return PositiveLog()
