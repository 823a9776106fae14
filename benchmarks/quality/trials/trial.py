"""One model trained in one way, and how good it is."""

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adagrad, Adam, Optimizer, SparseAdam

from benchmarks.quality.trials.data import Data
from benchmarks.quality.trials.memory import TriedMemory
from benchmarks.quality.trials.quantisers import KINDS
from thimble.export.clicks.rows import Clicks
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import OwnModel
from thimble.export.training.start import fit_start
from thimble.models.features import Batch
from thimble.models.hashing import Int64s
from thimble.models.nn.dlrm import DLRM
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.spec import ModelSpec

DIM = 16
ADAGRAD_RATE = 0.05
KEY_BYTES = 4.25
"""Of a hot id: a hash of it, and the sixteenth of the directory that stays free."""


@dataclass(frozen=True)
class Trial:
    """`compression` is full tables' float32 bytes over those of array, keys and rows. Rates are factors of the
    recipe's, but `step_rate`, which is Adam's for steps, scales and codebooks. `hot` is the share of the bytes that
    rows and keys of the hottest ids take. `rate_by_load`: a slot's rate is divided by the root of
    how many ids share it, over what that is on average.
    """

    scheme: str = "block"
    compression: float = 1
    chunk: int = 4
    weights: str = "fp32"
    scales: str = ""
    bound: float | None = None
    step_rate: float = 0.01
    hot: float = 0
    optimizer: str = "adam"
    dense_rate: float = 1
    sparse_rate: float = 1
    warm_up: int = 0
    rate_by_load: bool = False

    def changed(self) -> dict[str, Any]:
        """What differs from the defaults."""
        return {name: value for name, value in vars(self).items() if value != getattr(Trial(), name)}


def run(trial: Trial, data: Data, seed: int) -> dict[str, Any]:
    """Figures of the epoch that was best on the validation rows, at most `data.epochs`."""
    torch.manual_seed(seed)
    model, weights = _model(trial, data, seed)
    recipe = Recipe().with_batch(data.batch_size)
    optimizers = _optimizers(model, trial, recipe)
    rates = _rates_by_load(model, data) if trial.rate_by_load else None
    first = data.taken(slice(8192))
    fit_start(model, Clicks(first[2], Batch(first[0], first[1])))
    validation = slice(data.training, data.training + data.validation)
    held_out = slice(data.training + data.validation, None)
    curve: list[dict[str, Any]] = []
    start, steps = time.process_time(), 0
    for epoch in range(data.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(data.training)
        for at in range(0, data.training, data.batch_size):
            steps += 1
            warm = min(1, steps / (trial.warm_up or 1))
            _step(model, optimizers, data.taken(order[at : at + data.batch_size]), warm, rates)
        seconds = round(time.process_time() - start, 1)
        tuned = {"validation": _metrics(model, data, validation), "seconds": seconds}
        curve.append(tuned | _metrics(model, data, held_out))
    best = min(range(data.epochs), key=lambda epoch: curve[epoch]["validation"]["log_loss"])
    chosen = {key: curve[best][key] for key in ("auc", "log_loss")}
    return {**chosen, "epoch": best + 1, "weights": weights, "curve": curve}


def _model(trial: Trial, data: Data, seed: int) -> tuple[DLRM, int]:
    fields = [f"f{i}" for i in range(data.ids.shape[1])]
    of_tables = sum(data.tables) * DIM * 4
    kind: dict[str, Any] = {"scheme": trial.scheme, "chunk": trial.chunk, "precision": "fp32"}  # rounded by TriedMemory
    hot: list[Int64s] = []
    if trial.scheme != "full":
        memory = of_tables / trial.compression
        if trial.hot:
            row_bytes = DIM * KINDS[trial.weights].bits / 8
            hot = hottest(data, int(trial.hot * memory / (row_bytes + KEY_BYTES)))
            memory -= KEY_BYTES * sum(map(len, hot))
        kind["memory"] = int(memory * 32 / KINDS[trial.weights].bits)
    names = [f"x{i}" for i in range(data.dense.shape[1])]
    spec = OwnModel(dense=names, fields={"int": fields}, seed=seed, embedding_dim=DIM, **kind).spec(
        dict(zip(fields, data.tables, strict=True))
    )
    model = DLRM(spec)
    if isinstance(spec.embedding, BlockEmbedding):
        model.sparse_arch = tried(spec, spec.embedding, trial, hot)
    return model, spec.embedding.weights(DIM)


def tried(spec: ModelSpec, embedding: BlockEmbedding, trial: Trial, hot: list[Int64s]) -> SharedMemory:
    return TriedMemory(spec, embedding, trial.weights, hot=hot, scales=trial.scales, bound=trial.bound)


def hottest(data: Data, ids: int) -> list[Int64s]:
    """The ids of each field that are among so many that the training rows hold most often."""
    firsts = np.cumsum([0, *data.tables])
    counts = np.bincount((data.ids[: data.training] + firsts[:-1]).ravel(), minlength=firsts[-1])
    chosen = np.sort(np.argsort(-counts, kind="stable")[: min(ids, np.count_nonzero(counts))])
    return [chosen[(chosen >= a) & (chosen < b)] - a for a, b in pairwise(firsts)]


def _optimizers(model: DLRM, trial: Trial, recipe: Recipe) -> list[Optimizer]:
    groups = model.parameter_groups()
    made: list[Optimizer] = [Adam(groups.dense, lr=recipe.dense_lr * trial.dense_rate, fused=True)]
    rate = recipe.sparse_lr * trial.sparse_rate
    arch = model.sparse_arch
    if not isinstance(arch, SharedMemory):
        return [*made, SparseAdam(groups.sparse, lr=rate)]
    if trial.optimizer == "adam":
        made.append(Adam([arch.memory], lr=rate, fused=True))
    else:
        made.append(Adagrad([arch.memory], lr=ADAGRAD_RATE * trial.sparse_rate))
    steps = [parameter for parameter in groups.sparse if parameter is not arch.memory]
    return [*made, Adam(steps, lr=trial.step_rate)] if steps else made


@torch.no_grad()
def _rates_by_load(model: DLRM, data: Data) -> Tensor:
    """A factor of the rate for each slot, [slots, 1]."""
    arch = model.sparse_arch
    assert isinstance(arch, TriedMemory)
    load = torch.zeros(len(arch.memory))
    for field, column in enumerate(data.ids[: data.training].T):
        seen = torch.from_numpy(np.unique(column))
        table = torch.zeros(len(seen), len(data.tables), dtype=torch.int64)
        table[:, field] = seen
        load += torch.bincount(arch.slots(table)[:, field].flatten(), minlength=len(load))
    return (load.clamp(min=1) / load.clamp(min=1).mean()).rsqrt().unsqueeze(1)


def _step(
    model: DLRM, optimizers: list[Optimizer], rows: tuple[Any, ...], warm: float, slot_rates: Tensor | None
) -> None:
    dense, ids, labels = (torch.from_numpy(array) for array in rows)
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss: Tensor = nn.functional.binary_cross_entropy_with_logits(model(dense, ids), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    memory = model.sparse_arch.memory if isinstance(model.sparse_arch, SharedMemory) else None
    before = memory.detach().clone() if memory is not None and slot_rates is not None else None
    for optimizer in optimizers:
        rates = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] *= warm
        optimizer.step()
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
    if memory is not None and slot_rates is not None and before is not None:
        with torch.no_grad():
            memory.copy_(torch.lerp(before, memory, slot_rates))


def _metrics(model: DLRM, data: Data, part: slice) -> dict[str, float]:
    dense, ids, labels = data.taken(part)
    with torch.inference_mode():
        batches = zip(*(torch.split(torch.from_numpy(array), 8192) for array in (dense, ids)), strict=True)
        scores = torch.cat([torch.sigmoid(model(d, i)) for d, i in batches]).numpy()
    metrics = held_out_metrics(labels, scores)
    return {"auc": round(metrics.auc or 0.5, 5), "log_loss": round(metrics.log_loss, 5)}
