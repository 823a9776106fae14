"""Which of all that was proposed for a small, heavily shared array earns its place.

    python -m benchmarks.quality.trials bits-10x recbole-1.2.1-py3-none-any.whl

Every trial of a suite trains the same small DLRM on the same rows from the same seeds, and is compared with the first
trial, seed by seed. MovieLens-100k is in the wheel of recbole (`pip download --no-deps recbole==1.2.1`). One
thread. Results are written after each run, and a run that is there is not repeated.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.quality.trials.data import Data, generated, long_tail, movielens
from benchmarks.quality.trials.suites import SUITES
from benchmarks.quality.trials.trial import run
from benchmarks.record import record

RESULTS = Path(__file__).parents[1] / "results"
ROWS = 150_000
Results = list[dict[str, Any]]


def table(results: Results) -> str:
    """Markdown: mean AUCs and log losses, and how much AUC each has over the first, with its standard error."""
    lines = [
        "| clicks | trial | AUC | log loss | over the first | epochs |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    for data in dict.fromkeys(result["data"] for result in results):
        mine = [result for result in results if result["data"] == data]
        for label in dict.fromkeys(result["label"] for result in mine):
            runs = {result["seed"]: result for result in mine if result["label"] == label}
            first = {result["seed"]: result for result in mine if result["label"] == mine[0]["label"]}
            over = [run["auc"] - first[seed]["auc"] for seed, run in runs.items() if seed in first]
            error = f" ± {np.std(over, ddof=1) / len(over) ** 0.5:.4f}" if len(over) > 1 else ""
            auc, loss = (np.mean([run[key] for run in runs.values()]) for key in ("auc", "log_loss"))
            epochs = ", ".join(str(run["epoch"]) for run in runs.values())
            lines.append(f"| {data} | {label} | {auc:.4f} | {loss:.4f} | {np.mean(over):+.4f}{error} | {epochs} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("wheel", type=Path, help="recbole's, which holds MovieLens-100k")
    parser.add_argument("--seeds", type=int, default=3, help="repeat with so many seeds")
    parser.add_argument("--only", help="one of the data sets")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    made = {
        "MovieLens-100k": partial(movielens, arguments.wheel),
        "long tail": partial(long_tail, ROWS),
        "generated": partial(generated, ROWS),
    }
    name = f"trials-{arguments.suite}"
    file = RESULTS / f"{name}.json"
    results: Results = json.loads(file.read_text()) if file.exists() else []
    for clicks, make in made.items():
        if arguments.only in (None, clicks):
            for seed in range(arguments.seeds):
                _suite(make, clicks, seed, arguments.suite, results, name)
    print(table(results))


def _suite(make: Any, clicks: str, seed: int, suite: str, results: Results, name: str) -> None:
    data: Data | None = None
    for label, trial in SUITES[suite].items():
        key = {"data": clicks, "label": label, "seed": seed, "trial": trial.changed()}
        if any(key.items() <= result.items() for result in results):
            continue
        data = data or make(seed)
        results.append({**key, **run(trial, data, seed)})
        record(RESULTS, name, results, table(results))


if __name__ == "__main__":
    main()
