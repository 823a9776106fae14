"""The model as it is before the first step."""

import math
import os
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from thimble.export.clicks.rows import Clicks
from thimble.export.metrics.negatives import sampled_log_odds
from thimble.export.training.constant import Logits
from thimble.export.training.full_tables import set_keys
from thimble.export.training.hot_rows import give_rows
from thimble.models.hashing import Floats, Int64s
from thimble.models.heads import Heads, parents_of
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.spec import ModelSpec

# So many training rows say what a model should start from: where a fifth is clicked the base rate within 1 %
# (one standard error).
START_ROWS = 65_536
# And so many of them which of its units are silent.
WAKING_ROWS = 8192


def started(spec: ModelSpec, seed: int, device: torch.device, keys: Int64s | None = None) -> Recommender:
    """A model of random weights on its device. The same spec and seed give the same ones, and later the same steps.

    `keys` are those of its index, if it has one, or of its hot rows.
    """
    # without it cuBLAS is not deterministic, and torch refuses to go on
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # they also fill all new memory, which nothing here reads before it is written, and that takes a tenth of a step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # the default, but torch warns unless told so
    torch.sparse.check_sparse_tensor_invariants.disable()  # type: ignore[no-untyped-call]
    torch.manual_seed(seed)
    model = recommender(spec)
    if keys is not None:
        (give_rows if isinstance(model.sparse_arch, SharedMemory) else set_keys)(model, keys)
    return model.to(device)


def fit_start(model: Recommender, clicks: Clicks, negatives_kept: float = 1) -> None:
    """Have an untrained model begin at the base rate of some rows, with no hidden unit silent on the first of them.

    It is that of the full log, of whose negatives the rows hold that share. All rows say what it is, and the first
    WAKING_ROWS what the logits' mean is, which becomes its log-odds; so it is for each of several answers.

    A unit behind a ReLU that is 0 for each row has no gradient, so it would never learn; where all numbers are missing,
    that is half of a layer. Its bias is changed so that its mean has the other sign.
    """
    device = model.last_layer.weight.device
    hooks = [layer.register_forward_hook(_wake) for layer in _hidden_layers(model)]
    try:
        with torch.no_grad():
            logits = model(*(torch.from_numpy(tensor[:WAKING_ROWS]).to(device) for tensor in clicks.batch))
            wanted = torch.tensor(start_logits(clicks.labels, model.heads, negatives_kept), device=device)
            model.last_layer.bias.add_(wanted - logits.mean(0))
    finally:
        for hook in hooks:
            hook.remove()


def start_logits(labels: Floats, heads: Heads, negatives_kept: float = 1) -> Logits:
    """The logits of the base rates of labels [rows], or of several answers [rows, heads].

    That of a head which is given another is of the rate among rows where that one's label is 1, none of which were
    left out of the log.
    """
    if not heads:
        return log_odds(labels, negatives_kept)
    return tuple(
        log_odds(labels[:, head], negatives_kept) if parent is None else log_odds(labels[labels[:, parent] > 0.5, head])
        for head, parent in enumerate(parents_of(heads))
    )


def log_odds(labels: Floats, negatives_kept: float = 1) -> float:
    """Of a click in the full log, of whose negatives the rows hold that share.

    It is finite where all rows are alike: half a row of each class is added (Krichevsky-Trofimov).
    """
    clicked = float(np.sum(labels > 0.5))
    return math.log((clicked + 0.5) / (len(labels) - clicked + 0.5)) - sampled_log_odds(negatives_kept)


def _hidden_layers(model: nn.Module) -> Iterator[nn.Linear]:
    for part in model.modules():
        if isinstance(part, nn.Sequential):
            yield from (a for a, b in pairwise(part) if isinstance(a, nn.Linear) and isinstance(b, nn.ReLU))


def _wake(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """The output [rows, units] of a layer whose silent units have been woken."""
    assert isinstance(layer, nn.Linear)
    shift = torch.where(output.amax(0) <= 0, -2 * output.mean(0), 0)
    layer.bias.add_(shift)
    return output + shift
