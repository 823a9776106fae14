"""What a trained full model is worth to a small one that is trained after it: its scores, its MLPs, its embeddings.

    python -m benchmarks.quality.teacher movielens --times 100 --wheel recbole-1.2.1-py3-none-any.whl
    python -m benchmarks.quality.teacher feed --times 100
    python -m benchmarks.quality.teacher feed --times 100 --teacher-rows 1000000

The teacher has full tables, those of curve.py, trained until validation rows say that it is over; on the student's own
rows or, with --teacher-rows, on as many as end with them. Students hold 4 bits a weight in so many times fewer bytes.
Each way to begin and to train one takes the same steps upon the same rows from the same hash constants:

- scores: of each row's target, WEIGHT is the teacher's probability and the rest the label;
- MLPs: they begin as the teacher's;
- projection: a weight of the array begins as the mean of what the teacher has for the ids that read it, each as often
  as it comes in the rows to train on.

Held-out metrics are taken after a quarter of the first epoch and after each epoch, of which the one counts that is best
on validation rows. One thread. Each run is written down when it is over, and none is repeated.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.quality.curve import Model, Task, compressed, generated, movielens, recipe
from benchmarks.record import measured_on, record
from benchmarks.training.arrays import ArrayClicks
from thimble.export.clicks.frequent_ids import IdCounts, id_counts
from thimble.export.clicks.rows import Clicks, Parts, Rows
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.training.checkpoint import load_trained
from thimble.export.training.evaluation import SCORING_BATCH, labelled_logits, score
from thimble.export.training.full_tables import indexed
from thimble.export.training.intercept import INTERCEPT_ROWS, fit_intercept
from thimble.export.training.projection import project
from thimble.export.training.start import START_ROWS, fit_start, started
from thimble.export.training.step import Step
from thimble.export.training.taught_start import Start, begin_with_mlps
from thimble.export.training.teacher import WEIGHT
from thimble.export.training.train import train
from thimble.models.features import Batch
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.spec import ModelSpec

RESULTS = Path(__file__).parent / "results"
HELD_OUT_ROWS = 100_000
NAMES = {"movielens": "MovieLens-100k", "feed": "a feed", "criteo-kaggle": "Criteo-Kaggle's fields"}
Results = list[dict[str, Any]]


@dataclass(frozen=True)
class Variant:
    """What a student takes from its teacher; `weight` is that of its scores in the target."""

    weight: float = 0
    mlps: bool = False
    memory: bool = False


VARIANTS = {
    "scratch": Variant(),
    "scores": Variant(weight=WEIGHT),
    "MLPs": Variant(mlps=True),
    "projection": Variant(memory=True),
    "MLPs and projection": Variant(mlps=True, memory=True),
    "scores and MLPs": Variant(weight=WEIGHT, mlps=True),
    "all": Variant(weight=WEIGHT, mlps=True, memory=True),
}


@dataclass(frozen=True)
class Case:
    """Rows, and the teacher whose rows end with those to train on."""

    task: Task
    parts: Parts
    teacher: Recommender
    start: Start
    figures: dict[str, Any]
    counts: list[IdCounts]


def in_memory(rows: Rows) -> Rows:
    """The same rows, read once. Those that lie in arrays stay as they are."""
    if isinstance(rows.source, ArrayClicks):
        return rows
    parts = [*rows.read(SCORING_BATCH)]
    labels = np.concatenate([clicks.labels for clicks in parts])
    batch = Batch.joined([clicks.batch for clicks in parts])
    return Rows(ArrayClicks(rows.identity, labels, batch.dense, batch.ids), 0, len(labels))


def taught(task: Task, rows: int | None, seed: int, folder: Path) -> Case:
    """A teacher with full tables, trained on all of a task's rows, for students that have the last `rows`, or all."""
    training, *others = task.parts(seed)
    held_out, validation = (in_memory(part.first(HELD_OUT_ROWS)) for part in others if part)
    parts = Parts(in_memory(training), held_out, validation)
    spec, keys = indexed(task.full, parts.training)
    train(spec, parts, recipe(task, len(training), (1, 1), seed), folder, keys=keys)
    found = load_trained(folder)
    figures = {"rows": len(training), **metrics(found.dlrm, held_out), "training": metrics(found.dlrm, parts.training)}
    weights = {name: tensor.numpy() for name, tensor in found.dlrm.state_dict().items()}
    start = Start(folder, found.spec, weights)
    if rows:
        last = Rows(parts.training.source, len(training) - rows, len(training))
        parts = parts._replace(training=last)
    counts = id_counts(parts.training, task.full.bags)
    return Case(task, parts, found.dlrm, start, figures, counts)


def metrics(model: Recommender, rows: Rows) -> dict[str, float]:
    labels, logits = labelled_logits(model, rows.first(HELD_OUT_ROWS).read(SCORING_BATCH))
    found = held_out_metrics(labels, (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32))
    return {"auc": round(found.auc or 0.5, 5), "log_loss": round(found.log_loss, 5)}


def begun(case: Case, spec: ModelSpec, variant: Variant, seed: int) -> Recommender:
    """A student before its first step."""
    first = next(iter(case.parts.training.read(START_ROWS)))
    model = started(spec, seed, torch.device("cpu"))
    if variant.memory:
        assert isinstance(model.sparse_arch, SharedMemory)
        project(model.sparse_arch, case.start.spec, case.start.weights, case.counts)
    if variant.mlps:
        begin_with_mlps(model, case.start, first)
    else:
        fit_start(model, first)
    return model


def trained(case: Case, times: int, variant: Variant, seed: int) -> dict[str, Any]:
    """Metrics of a student as it learns: after quarters of epochs on validation rows, on held-out ones too at some."""
    training, held_out, validation = case.parts
    assert validation is not None
    spec = compressed(case.task.full, Model("block", "int4"), times, seed)
    told = recipe(case.task, len(training), (1, 1), seed)
    model = begun(case, spec, variant, seed)
    step = Step(model, told)
    steps = -(-len(training) // told.batch_size)
    quarters = {steps * quarter // 4: quarter / 4 for quarter in (1, 2, 3)}
    points: list[dict[str, Any]] = []
    seconds = asking = 0.0

    def point(epochs: float) -> None:
        seen = metrics(model, held_out) if epochs in (0.25, int(epochs)) else {}
        points.append({"epochs": epochs, "validation": metrics(model, validation), **seen})

    for epoch in range(case.task.epochs):
        kept: list[Clicks] = []
        for number, clicks in enumerate(training.read(told.batch_size, 0, epoch)):
            if number in quarters:
                point(epoch + quarters[number])
            begin = time.process_time()
            target = clicks.labels
            if variant.weight:
                target = target + np.float32(variant.weight) * (score(case.teacher, clicks.batch) - target)
                asking += time.process_time() - begin
            step(Clicks(target, clicks.batch))
            seconds += time.process_time() - begin
            kept = [*kept, clicks][-(INTERCEPT_ROWS // told.batch_size) :]
        fit_intercept(model, kept)
        point(epoch + 1)
    return {"bytes": spec.embedding_bytes, "steps": steps, "points": points, "seconds": seconds, "asking": asking}


def best(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The epoch that is best on validation rows."""
    after = [point for point in points if point["epochs"] >= 1 and "auc" in point]
    return min(after, key=lambda point: float(point["validation"]["log_loss"]))


def table(results: Results) -> str:
    """Markdown: means over the seeds, and how far from those that began from scratch, with standard errors."""
    lines = [
        "| clicks | times | student | AUC | over scratch | log loss | over scratch | after a quarter of an epoch, AUC "
        "| over scratch | epochs |",
        "| --- | ---: | --- | ---: | --- | ---: | --- | ---: | --- | --- |",
    ]
    for clicks, times in dict.fromkeys((run["clicks"], run["times"]) for run in results):
        mine = [run for run in results if (run["clicks"], run["times"]) == (clicks, times)]
        scratch = {run["seed"]: run for run in mine if run["variant"] == "scratch"}
        teachers = [run["teacher"] for run in scratch.values()]
        auc, loss = (statistics.mean(teacher[key] for teacher in teachers) for key in ("auc", "log_loss"))
        lines.append(f"| {clicks} | 1 | the teacher | {auc:.4f} | | {loss:.4f} | | | | |")
        for variant in dict.fromkeys(run["variant"] for run in mine):
            runs = {run["seed"]: run for run in mine if run["variant"] == variant and run["seed"] in scratch}
            cells = []
            for chosen, key in ((best, "auc"), (best, "log_loss"), (quarter, "auc")):
                figures = {seed: chosen(run["points"])[key] for seed, run in runs.items()}
                over = [figure - chosen(scratch[seed]["points"])[key] for seed, figure in figures.items()]
                error = f" ± {statistics.stdev(over) / math.sqrt(len(over)):.4f}" if len(over) > 1 else ""
                cells += [f"{statistics.mean(figures.values()):.4f}", f"{statistics.mean(over):+.4f}{error}"]
            epochs = ", ".join(str(best(run["points"])["epochs"]) for run in runs.values())
            lines.append(f"| {clicks} | {times:,} | {variant} | {' | '.join(cells)} | {epochs} |")
    return "\n".join(lines)


def quarter(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return next(point for point in points if point["epochs"] == 0.25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clicks", choices=NAMES)
    parser.add_argument("--wheel", type=Path, help="recbole's, which holds MovieLens-100k")
    parser.add_argument("--rows", type=int, default=300_000, help="generated rows that students are trained on")
    parser.add_argument("--teacher-rows", type=int, help="generated rows that the teacher is trained on")
    parser.add_argument("--times", default="100,1000", help="how many times smaller students are, with commas")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--variants", help="some of them, with commas")
    parser.add_argument("--weights", help="of the teacher's scores, with commas: trials of them alone")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--work", type=Path, default=Path("runs/teacher"), help="where teachers are kept")
    given = parser.parse_args()
    if given.clicks == "movielens" and not given.wheel:
        parser.error("movielens needs --wheel")
    torch.set_num_threads(1)
    history = given.teacher_rows or given.rows
    task = movielens(given.wheel) if given.clicks == "movielens" else generated(given.clicks, history)
    task = replace(task, epochs=given.epochs or task.epochs)
    name = given.clicks if given.clicks == "movielens" else f"{given.clicks}-{given.rows}"
    clicks = NAMES[given.clicks]
    if given.teacher_rows:
        name, clicks = f"{name}-of-{history}", f"{clicks}, a teacher of {history:,} rows"
    variants = {key: VARIANTS[key] for key in (given.variants.split(",") if given.variants else VARIANTS)}
    if given.weights:
        tried = given.weights.split(",")
        variants = {f"scores of weight {weight} and MLPs": Variant(float(weight), mlps=True) for weight in tried}
    file = RESULTS / f"teacher-{name}.json"
    results: Results = json.loads(file.read_text())["runs"] if file.exists() else []
    for seed in map(int, given.seeds.split(",")):
        case: Case | None = None
        for times, (variant, what) in product(map(int, given.times.split(",")), variants.items()):
            key = {"clicks": clicks, "times": times, "variant": variant, "seed": seed}
            if any(key.items() <= run.items() for run in results):
                continue
            last = given.rows if given.teacher_rows else None
            case = case or taught(task, last, seed, given.work / f"{name}-{seed}")
            results.append({**key, **asdict(what), "teacher": case.figures, **trained(case, times, what, seed)})
            record(RESULTS, file.stem, {"measured_on": measured_on(), "runs": results}, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
