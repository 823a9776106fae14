"""Do ids alone learn as well as ids beside a column of zeros, with which people help themselves?

    python -m benchmarks.training.alone recbole-1.2.1-py3-none-any.whl

MovieLens-100k, which is in RecBole's wheel (pip download --no-deps recbole==1.2.1): user and item, and whether the
rating is 4 or 5. The last tenth is held out, once of the rows in order of time, once of random order, where all users
are known. Each seed trains both models on the same rows, one after the other, as the command line does.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from benchmarks.quality.movielens import ratings
from benchmarks.record import processor, record
from thimble.export.training.checkpoint import load_trained

RESULTS = Path(__file__).parent / "results"
SEEDS = 3
MODELS = {"ids alone": [], "ids and a column of zeros": ["--dense", "zero"]}
ORDERS = ("random order", "order of time")
TRAIN = [
    *("train", "--label", "clicked", "--int", "user,item", "--memory", "40000", "--memory-precision", "fp32"),
    *("--batch-size", "512", "--epochs", "4", "--dense-lr", "0.002", "--sparse-lr", "0.02"),
]


def write(path: Path, wheel: Path, order: str) -> None:
    """The ratings as CSV."""
    _, ids, labels = ratings(wheel)
    rows = np.arange(len(labels))
    if order == "random order":
        np.random.default_rng(0).shuffle(rows)
    lines = (f"{int(labels[row])},{ids[row, 0]},{ids[row, 1]},0" for row in rows)
    path.write_text("\n".join(["clicked,user,item,zero", *lines, ""]))


def trained(clicks: Path, folder: Path, seed: int, options: list[str]) -> dict[str, Any]:
    """The metrics of a run on the held-out rows."""
    main = "from thimble.export.cli import main; main()"
    command = [sys.executable, "-c", main, *TRAIN, *options, str(clicks), "--seed", str(seed), "--run", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    metrics = load_trained(folder).spec.metrics
    assert metrics is not None
    return metrics.model_dump()


def table(results: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| rows in | model | AUC, mean of the seeds | each seed | log loss |", "| --- | --- | ---: | --- | ---: |"]
    for order in ORDERS:
        for model in MODELS:
            found = [it["metrics"] for it in results if (it["order"], it["model"]) == (order, model)]
            aucs = [it["auc"] for it in found]
            each, loss = ", ".join(f"{auc:.4f}" for auc in aucs), mean(it["log_loss"] for it in found)
            lines.append(f"| {order} | {model} | {mean(aucs):.4f} | {each} | {loss:.4f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    wheel = parser.parse_args().wheel
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for order in ORDERS:
            clicks = Path(folder) / f"{order}.csv"
            write(clicks, wheel, order)
            for seed in range(SEEDS):
                for model, options in MODELS.items():
                    metrics = trained(clicks, Path(folder) / f"{order} {seed} {model}", seed, options)
                    results.append({"order": order, "model": model, "seed": seed, "metrics": metrics})
    record(RESULTS, "alone", {"processor": processor(), "runs": results}, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
