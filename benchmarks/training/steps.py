"""The time of a training step at Criteo-Kaggle's tables, against its parts and against full tables.

    python -m benchmarks.training.steps --batch 2048
    python -m benchmarks.training.steps --batch 16384 --rounds 4

All contestants take turns in one process: every round runs each once untimed and then a few times, on batches of
generated clicks that no other step of the round has seen. With one thread its CPU time counts, which other processes on
the machine disturb least; with several the time on the clock, which needs a machine at rest. Writes
results/steps-BATCH.json and .md beside this file.
"""

import argparse
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.record import measured_on, record
from benchmarks.training.turns import Contestant, Figures, measure
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import Clicks
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import preset_spec
from thimble.export.training.start import started
from thimble.export.training.step import Step
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.nn.recommender import Recommender
from thimble.models.spec import ModelSpec

RESULTS = Path(__file__).parent / "results"
CPU = torch.device("cpu")
BATCHES = 8
PRODUCTS = "matrix products alone"
TENTH = 216_000_000


class ConstantEmbeddings(nn.Module):
    """Stands where embeddings would be looked up, so that a step is that of the MLPs and the interaction alone."""

    embeddings: Tensor

    def __init__(self, batch: int, fields: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("embeddings", torch.randn(batch, fields, dim))

    def forward(self, ids: Tensor) -> Tensor:
        return self.embeddings


def kaggle(scheme: str, memory: int | None = None) -> ModelSpec:
    return preset_spec("criteo-kaggle", None, scheme, memory, None, 0, "fp32")


def model(scheme: str, memory: int | None = None) -> Recommender:
    return started(kaggle(scheme, memory), 0, CPU)


def mlps_alone(batch: int) -> Recommender:
    spec = kaggle("block")
    alone = started(spec, 0, CPU)
    alone.sparse_arch = ConstantEmbeddings(batch, len(spec.fields), spec.embedding_dim)  # type: ignore[assignment]
    return alone


def as_before(step: Step) -> Callable[[Clicks], object]:
    """Adam and Adagrad in torch's default form, and new memory filled, as deterministic algorithms do by default."""
    groups = step.model.parameter_groups()
    step.optimizers = [torch.optim.Adam(groups.dense), torch.optim.Adagrad(groups.sparse)]

    def run(clicks: Clicks) -> None:
        torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
        step(clicks)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]

    return run


def products(spec: ModelSpec, batch: int) -> Callable[[Clicks], object]:
    """The matrix products of a step, forward and backward, on numbers that never change: what nothing can be below."""
    architecture = spec.architecture
    assert isinstance(architecture, DlrmArchitecture)
    vectors, dim = 1 + len(spec.fields), spec.embedding_dim
    pairs = vectors * (vectors - 1) // 2
    widths = [[len(spec.dense), *architecture.dense_arch], [dim + pairs, *architecture.over_arch]]
    layers = [
        (torch.randn(batch, taken), torch.randn(given, taken), torch.randn(batch, given), mlp == 1 or layer > 0)
        for mlp, sizes in enumerate(widths)
        for layer, (taken, given) in enumerate(pairwise(sizes))
    ]
    together, gradient = torch.randn(batch, vectors, dim), torch.randn(batch, vectors, vectors)

    def run(_: Clicks) -> None:
        for x, weight, out, needs_gradient in layers:
            torch.mm(x, weight.t())
            torch.mm(out.t(), x)
            if needs_gradient:
                torch.mm(out, weight)
        torch.bmm(together, together.transpose(1, 2))
        torch.bmm(gradient, together)
        torch.bmm(together.transpose(1, 2), gradient)

    return run


def contestants(batch: int) -> list[Contestant]:
    spec = kaggle("block")
    source = GeneratedClicks(spec, BATCHES * batch, 0)
    clicks = list(source.read(0, BATCHES * batch, batch))
    recipe = Recipe(batch_size=batch)
    runs: dict[str, Callable[[Clicks], object]] = {
        PRODUCTS: products(spec, batch),
        "MLPs alone": Step(mlps_alone(batch), recipe),
        "compressed, 10 MB": Step(model("block"), recipe),
        "compressed, 10 MB, bf16": Step(model("block"), recipe.model_copy(update={"training_precision": "bf16"})),
        "compressed, 10 MB, as before": as_before(Step(model("block"), recipe)),
        "compressed, 216 MB": Step(model("block", TENTH), recipe),
        "full tables, 2.16 GB": Step(model("full"), recipe),
    }
    return [Contestant(name, [partial(run, some) for some in clicks]) for name, run in runs.items()]


def table(results: list[Figures]) -> str:
    """Markdown."""
    lines = ["| rows a step | threads | what | ms | times the matrix products |", "| --- | --- | --- | --- | --- |"]
    for result in results:
        lines += [
            f"| {result['batch']:,} | {result['threads']} | {name} | {figures['ms']:.1f} | {figures['ratio']:.2f} |"
            for name, figures in result["contestants"].items()
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", default="1")
    arguments = parser.parse_args()
    some = contestants(arguments.batch)
    results: list[Figures] = []
    for threads in map(int, arguments.threads.split(",")):
        torch.set_num_threads(threads)
        figures = measure(some, PRODUCTS, arguments.rounds, threads)
        results.append({"batch": arguments.batch, "threads": threads, **figures})
    record(RESULTS, f"steps-{arguments.batch}", {**measured_on(), "results": results}, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
