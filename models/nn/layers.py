"""Layers that several architectures have (`thimble.models.architectures.layers`), in torch."""

from itertools import pairwise

import torch
from torch import Tensor, nn


class MLP(nn.Sequential):
    """Linear layers with a ReLU after each, the last one's optional. The last one may take so many inputs `beside`."""

    def __init__(self, inputs: int, widths: list[int], last_relu: bool, beside: int = 0) -> None:
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise([inputs, *widths]):
            taken = fan_in + (beside if len(layers) == 2 * (len(widths) - 1) else 0)
            linear = nn.Linear(taken, fan_out)
            nn.init.normal_(linear.weight, std=(2 / (taken + fan_out)) ** 0.5)
            nn.init.normal_(linear.bias, std=(1 / fan_out) ** 0.5)
            layers += [linear, nn.ReLU()]
        super().__init__(*(layers if last_relu else layers[:-1]))

    @property
    def last(self) -> nn.Linear:
        """The last layer, of one without a ReLU behind it."""
        layer = self[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, x: Tensor, beside: Tensor | None = None) -> Tensor:
        for place, layer in enumerate(self, 1):
            if beside is not None and place == len(self):
                x = torch.cat([x, beside], dim=1)
            x = layer(x)
        return x


class Projection(nn.Linear):
    """A linear layer without a bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)


class NumberVectors(nn.Module):
    """Each number times a vector of its own: [batch, numbers] -> [batch, numbers, dim].

    Vectors begin as embeddings do, uniform and short.
    """

    def __init__(self, numbers: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(numbers, dim).uniform_(-(dim**-0.5), dim**-0.5))

    def forward(self, numbers: Tensor) -> Tensor:
        return numbers.unsqueeze(2) * self.weight


def as_logits(outputs: Tensor) -> Tensor:
    """Of a last layer's outputs [batch, heads]: the same, or [batch] of one answer."""
    return outputs.squeeze(1) if outputs.shape[1] == 1 else outputs


def concatenated(*parts: Tensor) -> Tensor:
    """Parts [batch, n] or [batch, n, dim] side by side: [batch, width]. One without columns may be of any type."""
    return torch.cat([part.flatten(1) for part in parts if part.shape[1]], dim=1)


def first_order(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings [batch, fields, dim] in two: vectors [batch, fields, dim - 1], and the sum of the last weights.

    The sum is [batch, 1], and without fields there is none: [batch, 0].
    """
    weights = embeddings[..., -1]
    return embeddings[..., :-1], weights.sum(dim=1, keepdim=True) if weights.shape[1] else weights


@torch.no_grad()
def start_as_sum(last: nn.Linear, numbers: int, terms: int) -> None:
    """Have a last layer, which takes numbers and terms beside hidden units, begin as if each term were a part's logit.

    All of its weights are trained. A number's begins at 0, as in a linear model.
    """
    last.weight[:, last.in_features - terms - numbers :] = 0
    last.weight[:, last.in_features - terms :] = 1
