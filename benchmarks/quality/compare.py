"""What compression costs in quality: the same clicks, the same recipe, full tables and a shared array in float32.

    python -m benchmarks.quality.compare criteo-kaggle --generate 2000000
    python -m benchmarks.quality.compare open-bandit --seeds 3

Each prints a table and writes it with its raw metrics beside this script. Both models of a comparison see the same rows
in the same order; intervals are DeLong's over the held-out rows.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.record import record
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import ClickSource, Parts, Rows, split
from thimble.export.clicks.survey import survey
from thimble.export.training.full_tables import indexed
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import OwnModel, preset_spec
from thimble.export.training.train import train
from thimble.export.wording import size
from thimble.models.hashing import Int64s
from thimble.models.inputs import Kind
from thimble.models.spec import Metrics, ModelSpec
from thimble.models.transforms import learnt

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("THIMBLE_DATA", "../shared/data"))
SCHEMES = ["full", "block"]

BANDIT_DENSE = ["item_feature_0"]
BANDIT_FIELDS: dict[Kind, list[str]] = {
    "int": ["item_id", "position"],
    "hex": [],
    "string": [
        *("campaign", "policy", "user_feature_0", "user_feature_1", "user_feature_2", "user_feature_3"),
        *("item_feature_1", "item_feature_2", "item_feature_3"),
    ],
}
BANDIT_MEMORY = 4096  # bytes: a tenth of what the full tables weigh


def compare(
    specs: Mapping[str, ModelSpec], recipe: Recipe, clicks: Mapping[str, Parts], keys: Mapping[str, Int64s | None]
) -> list[dict[str, Any]]:
    """Train and evaluate each spec; `keys` are the index's, where one has an index."""
    results = []
    for scheme, spec in specs.items():
        with tempfile.TemporaryDirectory() as folder:
            metrics = train(spec, clicks[scheme], recipe, Path(folder), keys=keys.get(scheme))
        results.append(
            {
                "scheme": scheme,
                "seed": recipe.seed,
                "embedding_bytes": spec.embedding_bytes,
                "metrics": metrics.model_dump(),
            }
        )
    return results


def generated(shape: str, rows: int, seed: int) -> list[dict[str, Any]]:
    """A preset on generated clicks, whose best reachable AUC is known."""
    specs = {scheme: preset_spec(shape, None, scheme, None, None, seed, "fp32") for scheme in SCHEMES}
    held_out = max(20_000, rows // 10)
    clicks = {}
    for scheme, spec in specs.items():
        source: ClickSource = GeneratedClicks(spec, rows + held_out, seed)
        clicks[scheme] = Parts(Rows(source, 0, rows), Rows(source, rows, rows + held_out))
    return compare(specs, Recipe(seed=seed), clicks, {})


def open_bandit(seed: int) -> list[dict[str, Any]]:
    """Real impressions of another schema, split by time: the last third is held out, for there are few clicks."""
    path = [DATA / "open_bandit" / "clicks.csv.gz"]

    own = OwnModel(
        name="zozo",
        dense=BANDIT_DENSE,
        fields=BANDIT_FIELDS,
        memory=BANDIT_MEMORY,
        precision="fp32",
        dense_arch=[32],
        over_arch=[32],
        seed=seed,
    )
    found = survey(split(FileClicks(path, own.spec(), "click"), share=1 / 3).training, own.spec())
    transform = learnt("quantiles", found.numbers)
    specs = {scheme: replace(own, scheme=scheme).spec(found.ids, transform) for scheme in SCHEMES}
    clicks = {scheme: split(FileClicks(path, specs[scheme], "click"), share=1 / 3) for scheme in SCHEMES}
    specs["full"], keys = indexed(specs["full"], clicks["full"].training)
    return compare(specs, Recipe(batch_size=512, epochs=2, sparse_lr=0.01, seed=seed), clicks, {"full": keys})


def table(results: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| embeddings | weights | seed | AUC | 95 % interval | best reachable | log loss | base rate |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for result in results:
        m = Metrics.model_validate(result["metrics"])
        low, high = m.auc_interval or (float("nan"), float("nan"))
        best = "unknown" if m.best_auc is None else f"{m.best_auc:.4f}"
        lines.append(
            f"| {result['scheme']} | {size(result['embedding_bytes'])} | {result['seed']} | {m.auc:.4f} | "
            f"{low:.4f} to {high:.4f} | {best} | {m.log_loss:.4f} | {m.base_rate:.4f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clicks", choices=["criteo-kaggle", "open-bandit"])
    parser.add_argument("--generate", type=int, default=2_000_000, help="generated rows to train on")
    parser.add_argument("--seeds", type=int, default=1, help="repeat with so many seeds")
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        if arguments.clicks == "open-bandit":
            results += open_bandit(seed)
        else:
            results += generated(arguments.clicks, arguments.generate, seed)
    record(RESULTS, arguments.clicks, results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
