"""How much of a memory is best given to hot rows, and whether the rule finds it: generated clicks, in equal bytes.

    python -m benchmarks.quality.hot_rows --compression 1000 --rows 1000000 --seeds 3

A model without hot rows, models with some shares of the memory for them, and the one that `thimble-export train
--hot-rows auto` makes, each trained once on the same rows. Prints a table and writes it with the raw metrics into
`results/`.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import record
from thimble.export.clicks.frequent_ids import id_counts
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.training.hot_rows import Hot, with_hot_rows, with_rows_for
from thimble.export.training.recipe import recipe_for
from thimble.export.training.schema import preset_spec
from thimble.export.training.train import train
from thimble.models.directory import LOAD
from thimble.models.hot_rows import KEY_BYTES
from thimble.models.quantization import BITS
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.spec import ModelSpec

RESULTS = Path(__file__).parent / "results"
SHARES = [0.25, 0.5, 0.75, 0.95]


def with_share(spec: ModelSpec, rows: Rows, share: float) -> Hot:
    """The model with so much of its memory for rows of the hottest ids."""
    counts = id_counts(rows, len(spec.fields))
    reads = np.concatenate([of_field.times for of_field in counts])
    field = np.repeat(np.arange(len(counts)), [len(of_field.ids) for of_field in counts])
    row_bytes = spec.embedding_dim * BITS[spec.precision.memory] / 8 + KEY_BYTES
    hottest = np.argsort(-reads, kind="stable")[: int(share * spec.embedding_bytes / row_bytes * LOAD)]
    ids = np.concatenate([of_field.ids for of_field in counts])
    chosen = [ids[hottest[field[hottest] == f]] for f in range(len(counts))]
    return with_rows_for(spec, chosen, float(reads[hottest].sum() / reads.sum()))


def trained(name: str, hot: Hot, parts: Parts, seed: int) -> dict[str, Any]:
    """What a model comes to, trained once with the default recipe."""
    recipe = recipe_for(len(parts.training), validated=False, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        metrics = train(hot.spec, parts, recipe, Path(folder), keys=hot.keys)
    embedding = hot.spec.embedding
    assert isinstance(embedding, BlockEmbedding)
    return {
        "model": name,
        "seed": seed,
        "embedding_bytes": hot.spec.embedding_bytes,
        "hot_ids": embedding.hot.ids if embedding.hot else 0,
        "hot_reads": embedding.hot.reads if embedding.hot else 0,
        "metrics": metrics.model_dump(),
    }


def compare(preset: str, compression: float, rows: int, held_out: int, seed: int) -> list[dict[str, Any]]:
    """All models of one seed."""
    full = preset_spec(preset, None, "block", None, None, seed).full_table_bytes
    spec = preset_spec(preset, None, "block", int(full / compression), None, seed)
    source = GeneratedClicks(spec, rows + held_out, seed)
    parts = Parts(Rows(source, 0, rows), Rows(source, rows, rows + held_out))
    models = {"none": Hot(spec), "the rule": with_hot_rows(spec, parts.training)}
    models |= {f"{share:.0%}": with_share(spec, parts.training, share) for share in SHARES}
    return [trained(name, hot, parts, seed) for name, hot in models.items()]


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
    parser.add_argument("--preset", default="criteo-kaggle")
    parser.add_argument("--compression", type=float, default=1000, help="times that full tables are larger")
    parser.add_argument("--rows", type=int, default=1_000_000, help="generated rows to train on")
    parser.add_argument("--held-out", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    results: list[dict[str, Any]] = []
    for seed in range(given.seeds):
        results += compare(given.preset, given.compression, given.rows, given.held_out, seed)
        record(RESULTS, f"hot-rows-{given.compression:g}", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
