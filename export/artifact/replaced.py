"""Modules with others in them."""

import copy
from collections.abc import Callable

from torch import nn


def replaced(module: nn.Module, other: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """The same module with others in the place of those for which there is one; what is in these is left alone.

    All modules are copies, one that stands in several places once, and none of their weights is copied.
    """
    copies: dict[nn.Module, nn.Module] = {}

    def copied(old: nn.Module) -> nn.Module:
        if old not in copies:
            if (found := other(old)) is None:
                found = copy.copy(old)
                found._modules = {
                    name: child if child is None else copied(child) for name, child in old._modules.items()
                }
            copies[old] = found
        return copies[old]

    return copied(module)
