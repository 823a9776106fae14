"""How fast click files become a model's arrays, form by form, clean and with bad rows among them.

    python -m benchmarks.training.readers

Clicks of Criteo's features are generated and written in every form. In each of `--rounds` rounds every file is read
once, by a `FileClicks` that counts nothing before, and a file with bad rows right after the clean one of its form: a
tenth of its rows has a bad number, a bad token, no label, or too few columns. Bad values are all different, or one word
again and again. The time is that of the processor, in one process, so that neighbours on the machine count little.
Prints a table of medians and writes it with the raw times into `results/`.
"""

import argparse
import csv
import gzip
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from benchmarks.record import measured_on, record
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.generate import GeneratedClicks
from thimble.models.presets import preset

RESULTS = Path(__file__).parent / "results"
SPEC = preset("criteo-kaggle")
NAMES = ["label", *SPEC.feature_names]
NUMBER, TOKEN = 1, len(NAMES) - 1
EVERY = 10  # one row of so many is bad

Row = list[str]
Spoil = Callable[[Row, int], Row]


def with_value(column: int, value: Callable[[int], str]) -> Spoil:
    return lambda row, i: [*row[:column], value(i), *row[column + 1 :]]


SPOILT: dict[str, Spoil] = {
    "clean": lambda row, _: row,
    "a bad number, one word": with_value(NUMBER, lambda _: "unknown"),
    "bad numbers, all different": with_value(NUMBER, lambda i: f"x{i}"),
    "a bad token, one word": with_value(TOKEN, lambda _: "unknown"),
    "bad tokens, all different": with_value(TOKEN, lambda i: f"x{i:x}"),
    "no label": with_value(0, lambda _: ""),
    "too few columns": lambda row, _: row[:20],
}


def generated(rows: int) -> list[Row]:
    """Clicks as Criteo writes them."""
    (clicks,) = GeneratedClicks(SPEC, rows, seed=0).read(0, rows, rows)
    dense = [["" if np.isnan(x) else str(int(x)) for x in row] for row in clicks.batch.dense]
    ids = [[f"{x:08x}" if x else "" for x in row] for row in clicks.batch.ids.tolist()]
    labels = [str(int(label)) for label in clicks.labels]
    return [[label, *numbers, *tokens] for label, numbers, tokens in zip(labels, dense, ids, strict=True)]


def lines(path: Path, rows: list[Row]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in rows))


def comma_separated(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([NAMES, *rows])


def quoted(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([NAMES, *rows])


def gzipped(path: Path, rows: list[Row]) -> None:
    lines(path, rows)
    path.write_bytes(gzip.compress(path.read_bytes(), 6))


def zstandard(path: Path, rows: list[Row]) -> None:
    lines(path, rows)
    path.write_bytes(pa.compress(path.read_bytes(), codec="zstd", asbytes=True))


def typed(rows: list[Row]) -> pa.Table:
    """Numbers as float64, tokens as text. What is no number is infinite, a bad value of a column of numbers."""

    def number(text: str) -> float | None:
        return float("inf" if text.startswith(("x", "u")) else text) if text else None

    columns = list(zip(*rows, strict=True))
    numbers = [pa.array(map(number, column), pa.float64()) for column in columns[: 1 + len(SPEC.dense)]]
    tokens = [pa.array([text or None for text in column]) for column in columns[1 + len(SPEC.dense) :]]
    return pa.table([*numbers, *tokens], NAMES)


def parquet(path: Path, rows: list[Row]) -> None:
    pq.write_table(typed(rows), path)


def arrow(path: Path, rows: list[Row]) -> None:
    feather.write_feather(typed(rows), str(path), compression="lz4")


def binary(path: Path, rows: list[Row]) -> None:
    values = [[int(row[0]), *(int(x or 0) for x in row[1:14]), *(int(x or "0", 16) for x in row[14:])] for row in rows]
    path.write_bytes((np.array(values) & 0xFFFFFFFF).astype("<u4").tobytes())


FORMS: dict[str, Callable[[Path, list[Row]], None]] = {
    "Criteo lines": lines,
    "CSV": comma_separated,
    "CSV, all quoted": quoted,
    "gzip": gzipped,
    "zstd": zstandard,
    "Parquet": parquet,
    "Arrow, LZ4": arrow,
    "binary": binary,
}
HAS_NONE = {
    "Parquet": {"too few columns"},
    "Arrow, LZ4": {"too few columns"},
    "binary": {*SPOILT} - {"clean"},
}
"""What a form cannot have."""


def seconds(path: Path) -> float:
    source = FileClicks([path], SPEC)
    start = time.process_time()
    for _ in source.blocks():
        pass
    return time.process_time() - start


def measured(folder: Path, rows: int, rounds: int) -> list[dict[str, Any]]:
    clean = generated(rows)
    found: list[dict[str, Any]] = []
    for form, write in FORMS.items():
        for kind, spoil in SPOILT.items():
            if kind not in HAS_NONE.get(form, ()):
                path = folder / f"{form}-{kind}"
                write(path, [spoil(row, i) if i % EVERY == EVERY // 2 else row for i, row in enumerate(clean)])
                found.append({"form": form, "bad": kind, "path": path, "seconds": [], "clean_seconds": []})
    for number in range(rounds):
        for one in found:
            one["clean_seconds"].append(seconds(folder / f"{one['form']}-clean"))
            one["seconds"].append(seconds(one["path"]))
        print(f"round {number + 1} of {rounds}", flush=True)
    return [{name: value for name, value in one.items() if name != "path"} for one in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = measured(Path(folder), args.rows, args.rounds)
    table = [
        "| form | a tenth of the rows | rows/s of one core | time to clean, same form |",
        "| --- | --- | --- | --- |",
    ]
    for one in found:
        ratio = median(bad / clean for bad, clean in zip(one["seconds"], one["clean_seconds"], strict=True))
        shown = "" if one["bad"] == "clean" else f"{ratio:.2f}"
        table.append(f"| {one['form']} | {one['bad']} | {args.rows / median(one['seconds']):,.0f} | {shown} |")
    print("\n".join(table))
    record(RESULTS, "readers", {"rows": args.rows, "measured_on": measured_on(), "files": found}, "\n".join(table))


if __name__ == "__main__":
    main()
