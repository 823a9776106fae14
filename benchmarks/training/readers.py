"""How fast click files become a model's arrays, form by form, clean and with bad rows among them.

    python -m benchmarks.training.readers

Clicks of Criteo's features are generated and written in every form. In each of `--rounds` rounds every file is read
once, by a `FileClicks` that counts nothing before. A file with bad rows is read right after the clean one of its form,
and in every other round right before it. A tenth of its rows has a bad number, a bad token, no label, too few columns,
bytes that are no text, or a stray quote. Bad values are all different, or one word again and again. The time is that of
the processor, in one process, so that neighbours on the machine count little. Prints a table of medians and writes it
with the raw times into `results/`.
"""

import argparse
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
from thimble.models.spec import ModelSpec

RESULTS = Path(__file__).parent / "results"
SPEC = preset("criteo-kaggle")
NUMBER, TOKEN = 1, len(SPEC.feature_names)
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
    "not UTF-8": with_value(TOKEN, lambda _: "\udcff"),
    "a stray quote": with_value(TOKEN, lambda _: 'a"b'),
}


def names(spec: ModelSpec) -> list[str]:
    """Of the columns, in their order."""
    return ["label", *spec.feature_names]


def generated(rows: int) -> list[Row]:
    """Clicks as Criteo writes them."""
    (clicks,) = GeneratedClicks(SPEC, rows, seed=0).read(0, rows, rows)
    dense = [["" if np.isnan(x) else str(int(x)) for x in row] for row in clicks.batch.dense]
    ids = [[f"{x:08x}" if x else "" for x in row] for row in clicks.batch.ids.tolist()]
    labels = [str(int(label)) for label in clicks.labels]
    return [[label, *numbers, *tokens] for label, numbers, tokens in zip(labels, dense, ids, strict=True)]


def _text(path: Path, rows: list[Row], separator: str) -> None:
    text = "".join(separator.join(row) + "\n" for row in rows)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def lines(path: Path, _: ModelSpec, rows: list[Row]) -> None:
    _text(path, rows, "\t")


def comma_separated(path: Path, spec: ModelSpec, rows: list[Row]) -> None:
    _text(path, [names(spec), *rows], ",")


def quoted(path: Path, spec: ModelSpec, rows: list[Row]) -> None:
    _text(path, [[f'"{value}"' for value in row] for row in (names(spec), *rows)], ",")


def gzipped(path: Path, spec: ModelSpec, rows: list[Row]) -> None:
    lines(path, spec, rows)
    path.write_bytes(gzip.compress(path.read_bytes(), 6))


def zstandard(path: Path, spec: ModelSpec, rows: list[Row]) -> None:
    lines(path, spec, rows)
    path.write_bytes(pa.compress(path.read_bytes(), codec="zstd", asbytes=True))


def typed(spec: ModelSpec, rows: list[Row]) -> pa.Table:
    """Numbers as float64, ids as int64, tokens as text. A bad number is infinite, and all different ones are large."""

    def number(text: str) -> float | None:
        if text.startswith("x"):
            return 1e39 * (1 + int(text[1:]))
        return float("inf" if text == "unknown" else text) if text else None

    columns = dict(zip(names(spec), zip(*rows, strict=True), strict=True))
    arrays = {name: pa.array(map(number, columns[name]), pa.float64()) for name in ("label", *spec.dense)}
    for field in spec.fields:
        texts = columns[field.name]
        arrays[field.name] = pa.array(map(int, texts) if field.kind == "int" else [text or None for text in texts])
    return pa.table(arrays)


def parquet(path: Path, spec: ModelSpec, rows: list[Row]) -> None:
    pq.write_table(typed(spec, rows), path)


def arrow(path: Path, spec: ModelSpec, rows: list[Row]) -> None:
    feather.write_feather(typed(spec, rows), str(path), compression="lz4")


def _integers(spec: ModelSpec, rows: list[Row]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    numbers = 1 + len(spec.dense)
    base = [10 if field.kind == "int" else 16 for field in spec.fields]
    return np.array(
        [[*(int(x or 0) for x in row[:numbers]), *map(int, (x or "0" for x in row[numbers:]), base)] for row in rows]
    )


def binary(path: Path, spec: ModelSpec, rows: list[Row]) -> None:
    path.write_bytes((_integers(spec, rows) & 0xFFFFFFFF).astype("<u4").tobytes())


def numpy_files(path: Path, spec: ModelSpec, rows: list[Row]) -> None:
    """A folder of three, as torchrec writes them."""
    path.mkdir()
    numbers, values = 1 + len(spec.dense), _integers(spec, rows)
    np.save(path / "day_0_labels.npy", values[:, :1].astype(np.int32))
    np.save(path / "day_0_dense.npy", np.log(values[:, 1:numbers] + 3, dtype=np.float32))
    np.save(path / "day_0_sparse.npy", values[:, numbers:])


FORMS: dict[str, Callable[[Path, ModelSpec, list[Row]], None]] = {
    "Criteo lines": lines,
    "CSV": comma_separated,
    "CSV, all quoted": quoted,
    "gzip": gzipped,
    "zstd": zstandard,
    "Parquet": parquet,
    "Arrow, LZ4": arrow,
    "binary": binary,
    "NumPy": numpy_files,
}
_OF_TEXT = {"too few columns", "not UTF-8", "a stray quote"}
HAS_NONE = {
    "Criteo lines": {"a stray quote"},
    "gzip": {"a stray quote"},
    "zstd": {"a stray quote"},
    "Parquet": _OF_TEXT,
    "Arrow, LZ4": _OF_TEXT,
    "binary": {*SPOILT} - {"clean"},
    "NumPy": {*SPOILT} - {"clean"},
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
                write(path, SPEC, [spoil(row, i) if i % EVERY == EVERY // 2 else row for i, row in enumerate(clean)])
                found.append({"form": form, "bad": kind, "path": path, "seconds": [], "clean_seconds": []})
    for number in range(rounds):
        for one in found:
            pair = [("clean_seconds", folder / f"{one['form']}-clean"), ("seconds", one["path"])]
            for name, path in pair if number % 2 == 0 else reversed(pair):
                one[name].append(seconds(path))
        print(f"round {number + 1} of {rounds}", flush=True)
    return [{name: value for name, value in one.items() if name != "path"} for one in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=8)
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
