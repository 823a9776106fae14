"""Does the order of rows in a file matter? The same ratings in four orders, as shipped and with `--in-order`.

    python -m benchmarks.training.order recbole.whl --seeds 8

MovieLens-100k, as the package `recbole` brings it: a rating of 4 or 5 is a click, users and films are ids, the user's
age and the film's year are numbers. A tenth of the rows, drawn once, is held out in a file of its own. All else is the
command line's default. `--in-order` is tried with the first seed alone, to show what the order would matter.
"""

import argparse
import re
import tempfile
from collections import defaultdict
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from benchmarks.quality.movielens import table as read
from benchmarks.record import measured_on, record
from thimble.export.cli import app

RESULTS = Path(__file__).parent / "results"
COLUMNS = ["--label", "clicked", "--dense", "age,year", "--int", "user,film"]
ORDERS = ["shuffled", "by user", "by time", "by label"]
WAYS: dict[str, list[str]] = {"as shipped": [], "--in-order": ["--in-order"]}


def write_files(wheel: Path, folder: Path) -> Path:
    """A file an order, and the held-out rows, whose path is returned."""
    ages = {user: age for user, age, *_ in read(wheel, "user")}
    years = {film: year if year.isdigit() else "" for film, _, year, *_ in read(wheel, "item")}
    events = sorted(read(wheel, "inter"), key=lambda event: (float(event[3]), event[0], event[1]))
    held_out = {*np.random.default_rng(0).permutation(len(events))[: len(events) // 10].tolist()}
    rows = [
        (int(float(rating) >= 4), ages[user], years.get(film, ""), int(user), int(film))
        for user, film, rating, _ in events
    ]
    by_time = [row for number, row in enumerate(rows) if number not in held_out]
    orders = {
        "shuffled": [by_time[number] for number in np.random.default_rng(1).permutation(len(by_time))],
        "by user": sorted(by_time, key=lambda row: row[3]),
        "by time": by_time,
        "by label": sorted(by_time, key=lambda row: row[0]),
        "held out": [row for number, row in enumerate(rows) if number in held_out],
    }
    for name, ordered in orders.items():
        lines = ["clicked,age,year,user,film", *(",".join(map(str, row)) for row in ordered)]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder / "held out.csv"


def train(path: Path, held_out: Path, options: list[str], seed: int, run: Path) -> float:
    """AUC on the held-out rows."""
    folders = ["--held-out", held_out, "--run", run, "--cache", run.parent / "cache"]
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(StringIO()):
        arguments = ["train", path, *COLUMNS, *folders, "--seed", seed, *options]
        app([*map(str, arguments)], standalone_mode=False)
    found = re.search(r"^held out: AUC ([0-9.]+)", said.getvalue(), re.MULTILINE)
    assert found, said.getvalue()
    return float(found[1])


def table(results: list[dict[str, Any]]) -> str:
    """Markdown."""
    aucs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for result in results:
        aucs[result["way"], result["order"]].append(result["auc"])
    best = mean(aucs["as shipped", "shuffled"])
    lines = ["| order of the file | trained on | AUC, mean of the seeds | against shuffled, as shipped | each seed |"]
    lines.append("| --- | --- | ---: | ---: | --- |")
    for (way, order), found in aucs.items():
        each = ", ".join(f"{auc:.4f}" for auc in found)
        lines.append(f"| {order} | {way} | {mean(found):.4f} | {mean(found) - best:+.4f} | {each} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        held_out = write_files(arguments.wheel, folder)
        for seed in range(arguments.seeds):
            for way, options in list(WAYS.items())[: 1 if seed else None]:
                for order in ORDERS:
                    run = folder / f"{order} {way} {seed}"
                    auc = train(folder / f"{order}.csv", held_out, options, seed, run)
                    results.append({"order": order, "way": way, "seed": seed, "auc": auc})
                    print(results[-1], flush=True)
    record(RESULTS, "order", {"measured_on": measured_on(), "runs": results}, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
