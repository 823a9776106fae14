"""How the architectures compare, with full tables and with embeddings that are so many times smaller.

    python -m benchmarks.quality.architectures feed --rows 300000
    python -m benchmarks.quality.architectures movielens --wheel recbole-1.2.1-py3-none-any.whl

Each is trained on the same rows, with the sizes and the recipe that it has by default: full tables as `train --scheme
full` has them, and the shared memory in 4 bits. Rows are those of curve.py; of the epochs the one is taken that is best
on validation rows. Of generated clicks it is told, too, what int8 costs. Prints a table and writes it with the raw
metrics into `results/`.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.curve import PRESETS, Model, Task, compressed, generated, int8_cost, movielens, recipe
from benchmarks.record import record
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.training.checkpoint import Checkpoint
from thimble.export.training.full_tables import indexed
from thimble.export.training.keyed import Keyed
from thimble.export.training.train import train
from thimble.models.architectures import ARCHITECTURES, architecture_for
from thimble.models.architectures.base import AskedSizes
from thimble.models.spec import ModelSpec

RESULTS = Path(__file__).parent / "results"


def with_architecture(spec: ModelSpec, kind: str) -> ModelSpec:
    """The same features and embeddings with an architecture of default sizes."""
    asked = AskedSizes(numbers=len(spec.dense), fields=len(spec.fields), embedding_dim=spec.embedding_dim)
    return ModelSpec.model_validate(dict(spec) | {"architecture": architecture_for(kind, asked)})


def trained(task: Task, kind: str, times: int, seed: int) -> dict[str, Any]:
    """What one model comes to; of full tables `times` is 1."""
    parts = task.parts(seed)
    full = with_architecture(task.full, kind)
    spec, keys = (
        indexed(full, parts.training) if times == 1 else Keyed(compressed(full, Model("block", "int4"), times, seed))
    )
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "run"
        metrics = train(spec, parts, recipe(task, len(parts.training), (1, 1), seed), folder, keys=keys)
        progress = Checkpoint(folder).load()[1]
        cost = int8_cost(folder) if isinstance(parts.training.source, GeneratedClicks) and times > 1 else None
    return {
        "architecture": kind,
        "sizes": str(spec.architecture),
        "times": times,
        "seed": seed,
        "embedding_bytes": spec.embedding_bytes,
        "epochs": progress.best_epoch,
        "seconds": progress.seconds,
        "metrics": metrics.model_dump(),
        "int8_cost": cost,
    }


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: means over seeds."""
    lines = ["| architecture | sizes | embeddings | bytes | AUC | log loss | AUC in int8 | seeds |", "| --- " * 8 + "|"]
    for kind, times in dict.fromkeys((result["architecture"], result["times"]) for result in results):
        mine = [result for result in results if (result["architecture"], result["times"]) == (kind, times)]
        auc, loss = (np.mean([result["metrics"][key] for result in mine]) for key in ("auc", "log_loss"))
        costs = [result["int8_cost"]["auc"] for result in mine if result["int8_cost"]]
        embeddings = "full tables" if times == 1 else f"{times}x smaller, 4 bits"
        cost = f"{np.mean(costs):+.5f}" if costs else ""
        sizes = mine[0]["sizes"].replace(" | ", ", ")
        lines.append(
            f"| {kind} | {sizes} | {embeddings} | {mine[0]['embedding_bytes']:,} | {auc:.4f} | {loss:.4f} | {cost} | "
            f"{len(mine)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clicks", choices=[*PRESETS, "movielens"])
    parser.add_argument("--wheel", type=Path, help="recbole's, which holds MovieLens-100k")
    parser.add_argument("--rows", type=int, default=300_000, help="generated rows to train on")
    parser.add_argument("--times", type=int, default=100, help="how many times smaller")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    given = parser.parse_args()
    if given.clicks == "movielens" and not given.wheel:
        parser.error("movielens needs --wheel")
    if given.clicks == "movielens":
        name, task = "movielens", movielens(given.wheel)
    else:
        name, task = f"{given.clicks}-{given.rows}", generated(given.clicks, given.rows)
    results: list[dict[str, Any]] = []
    for seed in range(given.seeds):
        for kind in ARCHITECTURES:
            for times in (1, given.times):
                results.append(trained(task, kind, times, seed))
                record(given.results, f"architectures-{name}", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
