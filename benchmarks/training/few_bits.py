"""Embeddings in 4 and 8 bits: what a step of training takes, and how good the models are.

    python -m benchmarks.training.few_bits time
    python -m benchmarks.training.few_bits quality --movielens recbole-1.2.1-py3-none-any.whl

`time` has steps at Criteo-Kaggle's tables take turns on one thread, each with an array of 10 MB as it is stored, and
counts CPU time. `quality` trains on MovieLens-100k from three seeds, with arrays of the same bytes: a random fifth is
held out (`pip download --no-deps recbole==1.2.1`). Writes results/few-bits-*.json and .md.
"""

import argparse
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.quality.movielens import table as read_table
from benchmarks.record import measured_on, record
from benchmarks.training.turns import Contestant, Figures, measure
from thimble.export.artifact.graph import with_memory
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import Clicks
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.training.evaluation import score
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import OwnModel, preset_spec
from thimble.export.training.start import fit_start, started
from thimble.export.training.step import Step
from thimble.models.features import Batch
from thimble.models.nn.quantization import START_RANGE
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.quantization import MemoryPrecision, limits

RESULTS = Path(__file__).parent / "results"
CPU = torch.device("cpu")
BATCH, BATCHES = 2048, 8
SEEDS, EPOCHS, DIM = 3, 3, 16
SMALLER = (10, 100)
Results = list[dict[str, Any]]


def time(rounds: int) -> Figures:
    """Steps of 2,048 generated rows."""
    torch.set_num_threads(1)
    contestants = []
    for precision in ("fp32", "int8", "int4"):
        spec = preset_spec("criteo-kaggle", None, "block", None, None, 0, precision)
        clicks = list(GeneratedClicks(spec, BATCHES * BATCH, 0).read(0, BATCHES * BATCH, BATCH))
        step = Step(started(spec, 0, CPU), Recipe(batch_size=BATCH))
        contestants.append(Contestant(precision, [partial(step, some) for some in clicks]))
    return measure(contestants, "fp32", rounds, 1)


def time_table(figures: Figures) -> str:
    """Markdown."""
    lines = ["| an array of 10 MB in | ms a step | times fp32 |", "| --- | ---: | ---: |"]
    for name, measured in figures["contestants"].items():
        lines.append(f"| {name} | {measured['ms']:.1f} | {measured['ratio']:.2f} |")
    return "\n".join(lines)


class Trial(NamedTuple):
    """What embeddings are trained for, and where their step starts."""

    precision: MemoryPrecision
    start: float | None = None
    rounded: MemoryPrecision | None = None


TRIALS = {
    "fp32": Trial("fp32"),
    "fp32, rounded to int8": Trial("fp32", rounded="int8"),
    "fp32, rounded to int4": Trial("fp32", rounded="int4"),
    "int8": Trial("int8"),
    "int4": Trial("int4"),
    "int4, a range of 1/16 at the start": Trial("int4", START_RANGE / 4),
    "int4, a range of 1 at the start": Trial("int4", START_RANGE * 4),
    "int4, LSQ's step at the start": Trial("int4", 0),
}


def trained(trial: Trial, memory: int, clicks: Clicks, held_out: Clicks, seed: int) -> Recommender:
    fields = {"user": 944, "item": 1683}
    own = OwnModel(
        dense=[], fields={"int": list(fields)}, memory=memory, precision=trial.precision, seed=seed, embedding_dim=DIM
    )
    model = started(own.spec(fields), seed, CPU)
    arch = model.sparse_arch
    assert isinstance(arch, SharedMemory)
    if arch.quantizer and trial.start is not None:
        low, high = limits(arch.quantizer.bits)
        step = trial.start / -low or 2 * arch.memory.abs().mean().item() / math.sqrt(high)
        torch.nn.init.constant_(arch.quantizer.log_step, math.log(step))
    fit_start(model, clicks)
    recipe = Recipe().with_batch(512)
    step_of = Step(model, recipe)
    for epoch in range(EPOCHS):
        order = np.random.default_rng([seed, epoch]).permutation(len(clicks.labels))
        for at in range(0, len(order), recipe.batch_size):
            step_of(taken(clicks, order[at : at + recipe.batch_size]))
    if trial.rounded:
        rounded = with_memory(model.sparse_arch, trial.rounded)
        assert isinstance(rounded, SharedMemory)
        model.sparse_arch = rounded
    return model


def taken(clicks: Clicks, rows: Any) -> Clicks:
    return Clicks(clicks.labels[rows], Batch(*(tensor[rows] for tensor in clicks.batch)))


def movielens(wheel: Path) -> Iterator[dict[str, Any]]:
    """Was a rating a 4 or a 5: users and items alone."""
    for seed in range(SEEDS):
        events = np.random.default_rng(seed).permutation(np.array(read_table(wheel, "inter"), dtype=np.float64))
        ids, labels = events[:, :2].astype(np.int64), (events[:, 2] >= 4).astype(np.float32)
        every = Clicks(labels, Batch(np.empty((len(labels), 0), np.float32), ids))
        rows = len(labels) * 4 // 5
        training, held_out = taken(every, slice(rows)), taken(every, slice(rows, None))
        for times in SMALLER:
            memory = (944 + 1683) * DIM * 4 // times
            for name, trial in TRIALS.items():
                model = trained(trial, memory, training, held_out, seed)
                metrics = held_out_metrics(held_out.labels, score(model, held_out.batch))
                yield {"seed": seed, "times": times, "memory": memory, "trial": name, "metrics": metrics.model_dump()}


def quality_table(results: Results) -> str:
    """Markdown: means over the seeds, and what each trial's AUC is over that of fp32, with its standard error."""
    lines = ["| times smaller | trial | AUC | log loss | AUC over fp32's |", "| ---: | --- | ---: | ---: | ---: |"]
    for times in SMALLER:
        for name in TRIALS:
            mine, base = (
                [result["metrics"] for result in results if (result["times"], result["trial"]) == (times, trial)]
                for trial in (name, "fp32")
            )
            over = np.array([one["auc"] - other["auc"] for one, other in zip(mine, base, strict=True)])
            auc, loss = (np.mean([metrics[key] for metrics in mine]) for key in ("auc", "log_loss"))
            error = over.std(ddof=1) / math.sqrt(len(over))
            lines.append(f"| {times} | {name} | {auc:.4f} | {loss:.4f} | {over.mean():+.4f} ± {error:.4f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["time", "quality"])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--movielens", type=Path, help="recbole's wheel")
    arguments = parser.parse_args()
    if arguments.what == "time":
        figures = time(arguments.rounds)
        content, text = {**measured_on(), **figures}, time_table(figures)
    else:
        torch.set_num_threads(1)
        results = list(movielens(arguments.movielens))
        content, text = {**measured_on(), "results": results}, quality_table(results)
    record(RESULTS, f"few-bits-{arguments.what}", content, text)
    print(text)


if __name__ == "__main__":
    main()
