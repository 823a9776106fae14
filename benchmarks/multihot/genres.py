"""MovieLens-100k with a film's genres as a bag, and as one string.

    python -m benchmarks.multihot.genres recbole-1.2.1-py3-none-any.whl

Both are trained by the command line upon the same rows with the same settings, with full tables and with embeddings of
4 bits in a tenth of the bytes that full tables of users, films and single genres have. What is held out:

- the latest: the last fifth of the ratings;
- new combinations: all ratings of the films of a fifth of the combinations of genres, neither of which is known then;
- any rows: a fifth of the ratings, whose users, films and combinations are nearly all known;
- any rows, without films: the same, and the model is given users and genres alone. There the combination, of which
  there are 216 for 1,682 films, tells more of the film than its genres do.

A rating of 4 or 5 is a click. Prints a table of means over seeds, with the least and the largest difference of two runs
of one seed, and writes it with the raw metrics into `results/`. The wheel has the data set.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.quality.movielens import table as movielens_table
from benchmarks.record import measured_on, record
from thimble.export.training.checkpoint import Checkpoint

RESULTS = Path(__file__).parent / "results"
DIM = 16
GENRES = 6  # that a film has at most
HELD_OUT = {
    "the latest": ["--string", "user,film,genres", "--split", "time:time"],
    "new combinations": ["--string", "user,film,genres", "--split", "group:genres"],
    "any rows": ["--string", "user,film,genres"],
    "any rows, without films": ["--string", "user,genres"],
}
FORMS: dict[str, list[str]] = {"one string": [], "a bag": ["--multi", f"genres:|:{GENRES}:mean"]}
EMBEDDINGS = ["full tables", "10x smaller, 4 bits"]
Runs = list[dict[str, Any]]


def write(wheel: Path, path: Path) -> int:
    """The ratings as a file of clicks; the bytes of full tables of its users, films and single genres."""
    genres = {row[0]: row[3].split() for row in movielens_table(wheel, "item")}
    ratings = movielens_table(wheel, "inter")
    with path.open("w") as file:
        file.write("clicked,user,film,genres,time\n")
        for user, film, rating, seconds in ratings:
            file.write(f"{int(float(rating) >= 4)},{user},{film},{'|'.join(genres[film])},{int(float(seconds))}\n")
    ids = (
        {row[0] for row in ratings},
        {row[1] for row in ratings},
        {genre for each in genres.values() for genre in each},
    )
    return sum(map(len, ids)) * DIM * 4


def trained(clicks: Path, held_out: str, embeddings: str, form: str, seed: int, memory: int) -> dict[str, Any]:
    how = ["--scheme", "full"] if embeddings == "full tables" else ["--memory", str(memory)]
    code = "from thimble.export.cli import main; main()"
    options = ["--label", "clicked", *HELD_OUT[held_out], *FORMS[form], *how, "--embedding-dim", str(DIM)]
    with tempfile.TemporaryDirectory() as folder:
        run = ["--held-out-share", "0.2", "--seed", str(seed), "--cache", f"{folder}/cache", "--run", f"{folder}/run"]
        command = [sys.executable, "-c", code, "train", str(clicks), *options, *run]
        subprocess.run(command, check=True, capture_output=True)
        config, progress, _ = Checkpoint(Path(folder) / "run").load()
    assert progress.metrics is not None
    return {
        **{"held_out": held_out, "embeddings": embeddings, "genres": form, "seed": seed},
        "embedding_bytes": config.spec.embedding_bytes,
        "epochs": progress.best_epoch,
        "metrics": progress.metrics.model_dump(),
    }


def table(runs: Runs) -> str:
    """Markdown: means over seeds."""

    def found(held_out: str, embeddings: str, form: str, figure: str) -> list[float]:
        return [
            run["metrics"][figure]
            for run in runs
            if (run["held_out"], run["embeddings"], run["genres"]) == (held_out, embeddings, form)
        ]

    lines = [
        "| held out | embeddings | AUC with one string | with a bag | difference | log loss, one string | with a bag | "
        "seeds |",
        "| --- " * 8 + "|",
    ]
    for held_out, embeddings in product(HELD_OUT, EMBEDDINGS):
        aucs, losses = ([found(held_out, embeddings, form, figure) for form in FORMS] for figure in ("auc", "log_loss"))
        if not aucs[1]:
            continue
        gains = [bag - text for text, bag in zip(*aucs, strict=False)]
        means = [f"{statistics.mean(values):.4f}" for values in (*aucs, *losses)]
        gain = f"{statistics.mean(gains):+.4f} ({min(gains):+.4f} to {max(gains):+.4f})"
        lines.append(
            f"| {held_out} | {embeddings} | {means[0]} | {means[1]} | {gain} | {means[2]} | {means[3]} | {len(gains)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="recbole's, which holds MovieLens-100k")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    given = parser.parse_args()
    runs: Runs = []
    with tempfile.TemporaryDirectory() as folder:
        clicks = Path(folder) / "ratings.csv"
        memory = write(given.wheel, clicks) // 10
        for seed, held_out, embeddings, form in product(range(given.seeds), HELD_OUT, EMBEDDINGS, FORMS):
            runs.append(trained(clicks, held_out, embeddings, form, seed, memory))
            record(given.results, "genres", {"measured_on": measured_on(), "runs": runs}, table(runs))
            print(table(runs), flush=True)


if __name__ == "__main__":
    main()
