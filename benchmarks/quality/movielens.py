"""MovieLens-100k as clicks with dense columns: who rated, what, and what was known of both by then."""

import csv
import io
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from thimble.models.hashing import Floats, Int64s

FOLDER = "recbole/dataset_example/ml-100k/ml-100k"


def ratings(wheel: Path) -> tuple[Floats, Int64s, Floats]:
    """Dense columns [ratings, 7], user and item [ratings, 2], labels (a rating of 4 or 5), in order of time.

    Dense are the user's age, the film's year, how far the user's and the film's mean rating so far lie above that of
    all, how many there were, and the seconds since the user's last one. What is not known yet is missing.
    """
    ages = {row[0]: float(row[1]) for row in table(wheel, "user")}
    years = {row[0]: float(row[2]) if row[2].isdigit() else np.nan for row in table(wheel, "item")}
    events = sorted(table(wheel, "inter"), key=lambda row: (float(row[3]), row[0], row[1]))
    given: dict[str, list[float]] = defaultdict(list)
    last: dict[str, float] = {}
    dense, ids, labels = [], [], []
    for user, item, rating, time in events:
        of_user, of_item, of_all = given[f"user {user}"], given[f"item {item}"], given["all"]
        mean = np.mean(of_all[-10_000:]) if of_all else np.nan
        leans = [np.mean(some) - mean if some else np.nan for some in (of_user, of_item)]
        gap = float(time) - last.get(user, np.nan)
        dense.append([ages[user], years.get(item, np.nan), *leans, len(of_user), len(of_item), gap])
        ids.append([int(user), int(item)])
        labels.append(float(rating) >= 4)
        last[user] = float(time)
        for some in (of_user, of_item, of_all):
            some.append(float(rating))
    return np.array(dense, np.float32), np.array(ids), np.array(labels, np.float32)


def table(wheel: Path, part: str) -> list[list[str]]:
    """The rows of one of the files, `user`, `item` or `inter`."""
    with zipfile.ZipFile(wheel) as archive, archive.open(f"{FOLDER}.{part}") as file:
        return list(csv.reader(io.TextIOWrapper(file, "utf-8"), delimiter="\t"))[1:]
