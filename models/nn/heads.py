"""Probabilities of several answers (`thimble.models.heads`) in torch, and how likely labels are by them."""

import torch
from torch import Tensor, nn

from thimble.models.heads import Heads, parents_of


def probabilities(logits: Tensor, heads: Heads) -> Tensor:
    """Of logits [rows, heads], or of one answer's [rows]; of the same shape."""
    return together(probability_columns(logits, heads)) if heads else torch.sigmoid(logits)


def probability_columns(logits: Tensor, heads: Heads) -> list[Tensor]:
    """Of logits [rows, heads], each head's [rows]."""
    found: list[Tensor] = []
    for own, parent in zip(torch.sigmoid(logits).unbind(1), parents_of(heads), strict=True):
        found.append(own if parent is None else own * found[parent])
    return found


def negative_log_likelihood(logits: Tensor, labels: Tensor, heads: Heads) -> Tensor:
    """Of labels [rows, heads], from 0 to 1, in nats, summed over rows and heads.

    With s the sigmoid, a head by itself has ln p = ln s(z) and ln(1 - p) = ln s(-z). One that is given another, of
    probability q, has p = q s(z), so ln p = ln q + ln s(z), and 1 - p = (1 - q) + q (1 - s(z)), of which nothing
    cancels: ln(1 - p) = logaddexp(ln(1 - q), ln q + ln s(-z)). All is finite for finite logits, and so are gradients.
    """
    log_p: list[Tensor] = []
    log_not: list[Tensor] = []
    for z, parent in zip(logits.unbind(1), parents_of(heads), strict=True):
        yes, no = nn.functional.logsigmoid(z), nn.functional.logsigmoid(-z)
        if parent is not None:
            no = torch.logaddexp(log_not[parent], log_p[parent] + no)
            yes = log_p[parent] + yes
        log_p.append(yes)
        log_not.append(no)
    return -(labels * together(log_p) + (1 - labels) * together(log_not)).sum()


def together(columns: list[Tensor]) -> Tensor:
    """[rows, heads] of [rows] each."""
    return torch.stack(columns, dim=1)
