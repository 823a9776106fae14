"""What leaving negatives out costs, and what going on from day to day: judged on the same full log.

    python -m benchmarks.training.sampling

The log is generated with Criteo-Kaggle's tables, and a tenth of its clicks are kept, so that they are as rare as where
people sample. Each model makes one pass over its rows, with the recipe that so many get by default.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import measured_on, record
from testing.clicks import ClicksInMemory, part, sampled
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import Clicks, Parts
from thimble.export.training.ancestry import parent
from thimble.export.training.checkpoint import load_trained
from thimble.export.training.evaluation import SCORING_BATCH, evaluate
from thimble.export.training.recipe import recipe_for
from thimble.export.training.schema import preset_spec
from thimble.export.training.train import train
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.features import Batch
from thimble.models.spec import Metrics, ModelSpec

RESULTS = Path(__file__).parent / "results"
CLICKS_KEPT = 0.1
SHARES = [1, 0.3, 0.1, 0.03]
DAYS = 5


def model(seed: int) -> ModelSpec:
    """Criteo-Kaggle's features and memory with small MLPs: it is the rows that are compared."""
    architecture = DlrmArchitecture(dense_arch=[64, 16], over_arch=[64, 1])
    spec = preset_spec("criteo-kaggle", None, "block", None, None, seed, "fp32")
    return ModelSpec.model_validate({**spec.model_dump(), "architecture": architecture})


def log(spec: ModelSpec, rows: int, seed: int) -> Clicks:
    """Generated rows without most of their clicks."""
    random = np.random.default_rng([seed, 4])
    parts = [
        part(clicks, (clicks.labels < 0.5) | (random.random(len(clicks.labels)) < CLICKS_KEPT))
        for clicks in GeneratedClicks(spec, rows, seed).read(0, rows, 1 << 16)
    ]
    batch = Batch.joined([clicks.batch for clicks in parts])
    return Clicks(np.concatenate([clicks.labels for clicks in parts]), batch)


def compare(rows: int, held_out_rows: int, seed: int) -> list[dict[str, Any]]:
    """Train on shares of the negatives and on days of all rows, and evaluate each on the same full rows."""
    spec = model(seed)
    clicks = log(spec, rows + held_out_rows, seed)
    first_held_out = len(clicks.labels) * rows // (rows + held_out_rows)
    full, held_out = part(clicks, slice(first_held_out)), ClicksInMemory(part(clicks, slice(first_held_out, None)))
    results: list[dict[str, Any]] = []

    def fit(trained_on: str, some: Clicks, folder: Path, before: Path | None = None, kept: float = 1) -> None:
        source, began = ClicksInMemory(some, trained_on), time.monotonic()
        parts = Parts(source.rows(), held_out.rows().first(SCORING_BATCH))
        ancestor = parent(before) if before else None
        new = recipe_for(source.count(), validated=False, seed=seed, negatives_kept=kept)
        train(spec, parts, ancestor.recipe if ancestor else new, folder, parent=ancestor)
        seconds = time.monotonic() - began
        metrics = evaluate(load_trained(folder).dlrm, held_out.rows().read(SCORING_BATCH))
        known = {"seed": seed, "trained_on": trained_on, "rows": source.count(), "seconds": seconds}
        results.append({**known, "metrics": metrics.model_dump()})

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for share in SHARES:
            fit(f"{share:.0%} of the negatives", sampled(full, share, seed), folder / f"{share}", kept=share)
        fit("10% of the negatives, but not told", sampled(full, 0.1, seed), folder / "not told")
        edges = np.linspace(0, len(full.labels), DAYS + 1).astype(int)
        for day in range(1, DAYS + 1):
            rows_of_day = part(full, slice(edges[day - 1], edges[day]))
            before = folder / f"day {day - 1}" if day > 1 else None
            fit(f"day {day}, upon the days before", rows_of_day, folder / f"day {day}", before)
        fit(f"day {DAYS} alone", rows_of_day, folder / "last day")
    return results


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: means over the seeds, with the standard deviation between them."""
    lines = ["| trained on | rows | seconds | log loss | normalised entropy | calibration | AUC |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for trained_on in dict.fromkeys(result["trained_on"] for result in results):
        some = [result for result in results if result["trained_on"] == trained_on]
        metrics = [Metrics.model_validate(result["metrics"]) for result in some]
        rows, seconds = (np.mean([result[name] for result in some]) for name in ("rows", "seconds"))
        figures = (
            _mean([m.log_loss for m in metrics], 4),
            _mean([m.normalised_entropy or np.nan for m in metrics], 4),
            _mean([m.calibration or np.nan for m in metrics], 3),
            _mean([m.auc or np.nan for m in metrics], 4),
        )
        lines.append(f"| {trained_on} | {rows:,.0f} | {seconds:.0f} | {' | '.join(figures)} |")
    return "\n".join(lines)


def _mean(values: list[float], digits: int) -> str:
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows", type=int, default=250_000, help="generated rows to train on, before clicks are left out"
    )
    parser.add_argument("--held-out-rows", type=int, default=150_000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        results += compare(arguments.rows, arguments.held_out_rows, seed)
        record(RESULTS, "sampling", {"measured_on": measured_on(), "results": results}, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
