"""Criteo's clicks as torchrec keeps them: three files of NumPy that are one click file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from testing.clicks import CLICK_SPEC, everything, lines, write_lines
from testing.samples import small_spec
from thimble.export.clicks.cache import cached
from thimble.export.clicks.file_rows import FileRows
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError

SPEC = small_spec(dense=2, kinds=("hex", "hex", "int"))
ROWS = 20_000
TOKENS = np.random.default_rng(0).integers(0, 1 << 32, (ROWS, 3))


def write(folder: Path, name: str = "day_0", rows: slice = slice(None), **changed: npt.NDArray[Any]) -> list[Path]:
    """As torchrec's tsv_to_npys does. Ids with gaps count the rows, so that these can be told from each other."""
    folder.mkdir(exist_ok=True)
    numbers = np.log(np.arange(2 * ROWS).reshape(-1, 2) + 2, dtype=np.float32)
    arrays: dict[str, npt.NDArray[Any]] = {
        "dense": numbers[rows],
        "sparse": TOKENS[rows],
        "labels": (np.arange(ROWS, dtype=np.int32) % 2).reshape(-1, 1)[rows],
    } | changed
    for part, array in arrays.items():
        np.save(folder / f"{name}_{part}.npy", array)
    return [folder / f"{name}_{part}.npy" for part in arrays]


@pytest.mark.parametrize("sparse", [TOKENS, TOKENS.astype(np.uint32).view(np.int32), np.asfortranarray(TOKENS)])
def test_three_files_are_one(tmp_path: Path, sparse: npt.NDArray[Any]) -> None:
    write(tmp_path / "clicks", sparse=sparse)
    source = FileClicks([tmp_path / "clicks"], small_spec(dense=2, kinds=("hex",) * 3))
    assert source.description == "day_0_*.npy" and source.count() == ROWS
    found = everything(source)
    assert source.bad.count == 0
    assert found.batch.ids.tolist() == TOKENS.tolist()
    assert np.array_equal(found.batch.dense, np.load(tmp_path / "clicks" / "day_0_dense.npy"))
    assert found.labels.tolist() == [0.0, 1.0] * (ROWS // 2)


def test_a_folder_of_days_from_any_row_on_and_from_the_cache(tmp_path: Path) -> None:
    for day in (0, 2, 10):
        write(tmp_path / "clicks", f"day_{day}", slice(1000 * day, 1000 * day + 500))
    source = FileClicks([tmp_path / "clicks"], SPEC)
    assert source.description == "day_0_*.npy, day_2_*.npy, day_10_*.npy"
    assert len(source.files) == 9 and source.count() == 1500
    wanted = TOKENS[[*range(500), *range(2000, 2500), *range(10_000, 10_500)], 0]
    assert everything(source).batch.ids[:, 0].tolist() == wanted.tolist()
    some = [int(x) for part in source.read(300, 1200, 70) for x in part.batch.ids[:, 0]]
    assert some == wanted[300:1200].tolist()
    kept = cached(source, tmp_path / "cache")
    assert kept.take(np.arange(1500)).batch.ids[:, 0].tolist() == wanted.tolist()
    (again,) = np.asarray(kept.read_again(np.array([1499]))[2]).tolist()
    assert int(again, 16) == wanted[1499]
    write(tmp_path / "clicks", "day_2", slice(0, 400))
    assert cached(FileClicks([tmp_path / "clicks"], SPEC), tmp_path / "cache").count() == 1400  # any part may change


def test_it_does_not_matter_which_of_the_three_is_named(tmp_path: Path) -> None:
    paths = write(tmp_path / "clicks")
    for some in (paths, paths[:1], paths[2:]):
        source = FileClicks(some, SPEC)
        assert source.files == paths and source.count() == ROWS


def test_rows_are_scored_with_their_ids_as_keys(tmp_path: Path) -> None:
    write(tmp_path / "clicks", rows=slice(0, 100))
    source = FileRows([tmp_path / "clicks"], SPEC, keys=["f0"])
    found = [key for part in source.read() for key in part.keys[0].to_pylist()]
    assert found == TOKENS[:100, 0].tolist() and len(source.files) == 3


def test_bad_rows_are_named(tmp_path: Path) -> None:
    dense = np.ones((5, 2), np.float32)
    dense[1, 1] = np.inf
    labels = np.array([[0], [1], [1], [-1], [0]], np.int32)  # torchrec's test sets have -1
    write(tmp_path / "clicks", dense=dense, sparse=TOKENS[:5], labels=labels)
    source = FileClicks([tmp_path / "clicks"], SPEC)
    assert everything(source).batch.ids[:, 0].tolist() == TOKENS[[0, 2, 4], 0].tolist()
    assert [*source.bad.first.values()] == [
        "day_0_*.npy row 2: d1: inf is not a finite float32 number",
        "day_0_*.npy row 4: label: -1 is not 0 or 1",
    ]


def test_a_missing_part(tmp_path: Path) -> None:
    paths = write(tmp_path / "clicks")
    paths[1].unlink()
    for given in (tmp_path / "clicks", paths[0]):
        with pytest.raises(ClickError) as refused:
            FileClicks([given], SPEC)
        assert str(refused.value) == f"{paths[1]}: no such file, and day_0_dense.npy is read only beside it"


def shorter(paths: list[Path]) -> None:
    paths[0].write_bytes(paths[0].read_bytes()[:-1000])


def text(paths: list[Path]) -> None:
    paths[1].write_text("0,1\n")


def empty(paths: list[Path]) -> None:
    paths[2].write_bytes(b"")


def objects(paths: list[Path]) -> None:
    np.save(paths[2], np.array([[None]] * ROWS), allow_pickle=True)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (shorter, "day_0_dense.npy is damaged: 159,128 bytes are too few for 20,000 rows"),
        (text, "day_0_sparse.npy is not readable as NumPy: "),
        (empty, "day_0_labels.npy is not readable as NumPy: "),
        (objects, "day_0_labels.npy holds object [20000, 1], where int32 [rows, 1] is wanted"),
    ],
)
def test_damage(tmp_path: Path, damage: Callable[[list[Path]], None], said: str) -> None:
    damage(write(tmp_path / "clicks"))
    with pytest.raises(ClickError) as refused:
        FileClicks([tmp_path / "clicks"], SPEC)
    assert str(refused.value).startswith(f"day_0_*.npy: {said}")


SHAPES = ["(1" + "0" * 23 + ", 2)", "(-1, 2)", "(True, 2)", "(2,)", "()", "2", "(1.5, 2)", "((), 2)", "(20000, True)"]
HEADERS = [f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}" for shape in SHAPES]
HEADERS += ["{[]: 1}", "(", "'", "\t\n  1\n 2", "{}", "\0", "\\", "[" * 5000, "9" * 5000, "1 if", ""]
HEADERS += [
    f"{{'descr': {it}, 'fortran_order': False, 'shape': (1, 2)}}" for it in ("()", "[('',)]", "'|V99999999999'")
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
@pytest.mark.parametrize("version", [1, 2, 9])
def test_a_header_of_anything(tmp_path: Path, header: str, version: int) -> None:
    """It is an expression in Python, and what is wrong with one has many names."""
    paths = write(tmp_path / "clicks", rows=slice(0, 2))
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    paths[0].write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + bytes(16))
    with pytest.raises(ClickError, match=r"^day_0_\*\.npy: day_0_dense\.npy [^\n]+$") as refused:
        FileClicks([tmp_path / "clicks"], SPEC)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("sparse", [TOKENS, np.asfortranarray(TOKENS)])
def test_a_file_that_is_cut_short_while_it_is_read(tmp_path: Path, sparse: npt.NDArray[Any]) -> None:
    paths = write(tmp_path / "clicks", sparse=sparse)
    source = FileClicks([tmp_path / "clicks"], SPEC)
    (file,) = source._files
    pieces = file.pieces(0, ROWS)
    assert len(next(pieces)()) == 16_384
    os.truncate(paths[1], 1000)
    with pytest.raises(ClickError) as refused:
        next(pieces)
    assert str(refused.value) == "day_0_*.npy: damaged after row 16384: day_0_sparse.npy has become shorter"


def test_a_file_is_known_by_its_first_bytes_and_not_by_its_name(tmp_path: Path) -> None:
    for name in ("a_labels.npy", "a_dense.npy"):
        write_lines(tmp_path / name, lines(3))
    assert FileClicks([tmp_path], CLICK_SPEC).count() == 6


def test_a_folder_that_is_called_as_a_part(tmp_path: Path) -> None:
    write(tmp_path / "a_dense.npy", "x")
    write(tmp_path / "b", "y")
    assert FileClicks([tmp_path], SPEC).description == "a_dense.npy/x_*.npy, b/y_*.npy"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dense": np.ones((ROWS, 2))}, "day_0_dense.npy holds float64 [20000, 2], where float32 [rows, 2] is wanted"),
        (
            {"sparse": TOKENS[:, :2]},
            "day_0_sparse.npy holds int64 [20000, 2], where int32 or int64 [rows, 3] is wanted",
        ),
        (
            {"labels": np.ones(ROWS, np.int32)},
            "day_0_labels.npy holds int32 [20000], where int32 [rows, 1] is wanted",
        ),
        (
            {"labels": np.ones((7, 1), np.int32)},
            "its parts have different numbers of rows: day_0_dense.npy 20,000, day_0_sparse.npy 20,000, "
            "day_0_labels.npy 7",
        ),
    ],
)
def test_other_arrays(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    write(tmp_path / "clicks", **changed)
    with pytest.raises(ClickError) as refused:
        FileClicks([tmp_path / "clicks"], SPEC)
    assert str(refused.value) == f"day_0_*.npy: {said}"


def test_ids_that_no_token_can_be(tmp_path: Path) -> None:
    sparse = TOKENS.copy()
    sparse[17_000, 1] = -1
    sparse[3, 2] = 1 << 32
    write(tmp_path / "clicks", sparse=sparse)
    source = FileClicks([tmp_path / "clicks"], SPEC)
    assert everything(source).batch.ids[:, 0].tolist() == np.delete(TOKENS[:, 0], [3, 17_000]).tolist()
    said = "an id of more than 32 bits, as none of Criteo's is"
    assert [*source.bad.first.values()] == [f"day_0_*.npy row {row}: {said}" for row in (4, 17_001)]
    keyed = FileRows([tmp_path / "clicks"], SPEC, keys=["f0"])
    keys = [key for part in keyed.read() for key in part.keys[0].to_pylist()]
    assert [row for row, key in enumerate(keys) if key is None] == [3, 17_000] and keys[4] == TOKENS[4, 0]


def test_no_rows(tmp_path: Path) -> None:
    write(tmp_path / "clicks", rows=slice(0, 0))
    source = FileClicks([tmp_path / "clicks"], SPEC)
    assert source.count() == 0 and not list(source.blocks())
