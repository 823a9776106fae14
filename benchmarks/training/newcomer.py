"""What a newcomer gets who names the columns of a file and nothing else.

    python -m benchmarks.training.newcomer

Files of 500, 5,000 and 500,000 rows, whose labels follow from the columns or are drawn at random, are trained on with
the command line's defaults. Scores are judged on 100,000 other rows of the same kind, where chance hardly counts: their
log loss against that of a constant, the click rate of the file, and whether the run said so in a sentence where it is
not below. Their mean over the file is held against its click rate; three in twenty of its rows were not trained on.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import measured_on, record
from thimble.export.clicks.files import FileClicks
from thimble.export.training.checkpoint import Checkpoint, load_trained
from thimble.export.training.evaluation import score
from thimble.models.hashing import Floats, Int64s

RESULTS = Path(__file__).parent / "results"
SIZES = [500, 5_000, 500_000]
SEEDS = 3
OTHER_ROWS = 100_000
COLUMNS = ["--label", "clicked", "--dense", "age,price", "--string", "city,shop"]


def drawn(rows: int, seed: int, learnable: bool) -> tuple[Floats, Floats, Int64s]:
    """Labels, numbers (age, price) and ids (city, shop) of clicks that all but the price say something about, or none.

    The pair of city and shop does so too. A tenth of the prices is missing.
    """
    random = np.random.default_rng([seed, rows])
    age, city, shop = random.integers(18, 80, rows), random.integers(0, 30, rows), random.integers(0, 12, rows)
    odds = -2.2 + 1.5 * (city % 3 == 0) + 1.2 * ((city + shop) % 2) + 0.02 * (age - 49)
    clicked = random.random(rows) < (1 / (1 + np.exp(-odds)) if learnable else 0.2)
    price = random.lognormal(2, 1, rows)
    price[random.random(rows) < 0.1] = np.nan
    numbers, ids = np.stack([age, price], axis=1), np.stack([city, shop], axis=1)
    return clicked.astype(np.float32), numbers.astype(np.float32), ids


def write(path: Path, rows: int, seed: int, learnable: bool) -> float:
    """A file of them; the click rate."""
    clicked, numbers, ids = drawn(rows, seed, learnable)
    with path.open("w") as file:
        file.write("clicked,age,price,city,shop\n")
        for label, (age, price), (city, shop) in zip(clicked, numbers, ids, strict=True):
            cost = "" if np.isnan(price) else f"{price:.2f}"
            file.write(f"{int(label)},{int(age)},{cost},city {city},shop {shop}\n")
    return float(clicked.mean())


def trained(rows: int, learnable: bool, seed: int, folder: Path) -> dict[str, Any]:
    """Train on a file of so many rows by the command line, and judge the model."""
    rate = write(folder / "clicks.csv", rows, seed, learnable)
    write(folder / "others.csv", OTHER_ROWS, 1000 + seed, learnable)
    code = "from thimble.export.cli import main; main()"
    command = [sys.executable, "-c", code, "train", "clicks.csv", *COLUMNS, "--seed", str(seed)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    _, progress, _ = Checkpoint(folder / "runs" / "model").load()
    model = load_trained(folder / "runs" / "model")
    assert progress.metrics is not None and model.trained_on is not None

    def scored(source: FileClicks) -> tuple[Any, Any]:
        read = [(score(model.dlrm, clicks.batch), clicks.labels) for clicks in source.read(0, source.count(), 4096)]
        scores, labels = (np.concatenate(arrays).astype(np.float64) for arrays in zip(*read, strict=True))
        return scores, labels

    scores, labels = scored(FileClicks([folder / "others.csv"], model.spec, "clicked"))
    own_scores, own_labels = scored(FileClicks([folder / "clicks.csv"], model.spec, "clicked"))

    def log_loss(p: Any) -> float:
        return float(-np.mean(np.where(labels > 0.5, np.log(p), np.log1p(-p))))

    return {
        "rows": rows,
        "learnable": learnable,
        "seed": seed,
        "log_loss": log_loss(scores),
        "constant": log_loss(np.full(len(labels), rate)),
        "mean_to_base_rate": own_scores.mean() / own_labels.mean(),
        "epochs": progress.epoch,
        "held_out": progress.metrics.model_dump(),
        "advice": progress.advice,
    }


def table(results: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| rows | labels | seed | log loss | a constant's | scores' mean to base rate | epochs | said |"]
    lines.append("| ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |")
    for r in results:
        labels = "follow from the columns" if r["learnable"] else "random"
        lines.append(
            f"| {r['rows']:,} | {labels} | {r['seed']} | {r['log_loss']:.4f} | {r['constant']:.4f} | "
            f"{r['mean_to_base_rate']:.3f} | {r['epochs']} | {'; '.join(r['advice'])} |"
        )
    return "\n".join(lines)


def main() -> None:
    results: list[dict[str, Any]] = []
    for rows in SIZES:
        for learnable in (True, False):
            for seed in range(SEEDS):
                with tempfile.TemporaryDirectory() as folder:
                    results.append(trained(rows, learnable, seed, Path(folder)))
                    print(table(results[-1:]).splitlines()[-1], flush=True)
                record(RESULTS, "newcomer", {"measured_on": measured_on(), "runs": results}, table(results))


if __name__ == "__main__":
    main()
