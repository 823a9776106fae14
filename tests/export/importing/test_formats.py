"""Checkpoints in the layouts of other projects, which score as they did there."""

from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from testing.servers import running
from tests.export.conftest import Run
from tests.export.importing.reference import (
    DIM,
    FIELDS,
    SIZED,
    TABLE_ROWS,
    Dlrm,
    facebook,
    imported_scores,
    made_dlrm,
    made_rows,
    nvidia,
    robe,
    robe_tables,
    torchrec,
    write_expected,
    write_features,
)
from thimble.export.importing.importer import Said, read_model
from thimble.export.importing.mapping import Format
from thimble.export.scoring.evaluate import read_spec

Saved = Callable[[Dlrm], dict[str, object]]


def expected(path: Path, dlrm: Dlrm, names: list[str] | None = None) -> Path:
    numbers, ids = made_rows(dlrm)
    return write_expected(path, numbers, ids, dlrm.scores(numbers, dlrm.embeddings(ids)), names)


def difference(said: str) -> float:
    return float(said.partition("scores within ")[2].rpartition("scores within ")[2].split()[0])


def test_full_tables_score_as_they_did(run: Run, tmp_path: Path) -> None:
    dlrm = made_dlrm()
    torch.save({"state_dict": facebook(dlrm), "iter": 3, "test_acc": np.float64(1)}, "model.pt")
    features, scores = write_features(tmp_path / "f.yaml", FIELDS), expected(tmp_path / "expected.csv", dlrm)

    said = run("import", "model.pt", "--format", "facebook", "--features", features, "--expect", scores)

    assert said.status == 0, said.err
    assert "1,000 rows, scores within" in said.out and difference(said.out) < 1e-6
    spec = read_spec(tmp_path / "artifacts/model/1/model.onnx")
    assert [field.rows for field in spec.fields] == [*TABLE_ROWS]
    assert spec.golden and spec.golden.features["C3"][:5] == made_rows(dlrm)[1][:5, 2].tolist()
    assert spec.embedding.scheme == "full" and spec.external_data
    assert spec.imported and spec.imported.expected_rows == 1000


@pytest.mark.parametrize(
    ("format", "saved"),
    [
        ("facebook", facebook),
        ("facebook", lambda dlrm: {f"module.{key}": value for key, value in facebook(dlrm).items()}),
        ("torchrec", torchrec),
        ("torchrec", lambda dlrm: {f"model.{key}": value for key, value in torchrec(dlrm).items()}),
        ("torchrec", lambda dlrm: {"model": {f"module.model.{key}": it for key, it in torchrec(dlrm).items()}}),
    ],
)
def test_all_ways_to_save_are_known(tmp_path: Path, format: Format, saved: Saved) -> None:
    dlrm = made_dlrm()
    torch.save(saved(dlrm), tmp_path / "model.pt")
    numbers, ids = made_rows(dlrm)

    said = Said(write_features(tmp_path / "f.yaml", FIELDS))
    scores = imported_scores(tmp_path / "model.pt", format, said, numbers, ids)

    assert scores == pytest.approx(dlrm.scores(numbers, dlrm.embeddings(ids)).numpy(), abs=1e-6)


@pytest.mark.parametrize(
    ("drawn", "cpu", "second", "chunk", "said"),
    [
        (50, False, False, 4, 4),
        (50, False, False, 5, 5),
        (10, True, False, 2, None),
        (10, True, False, 9, 9),  # beyond an embedding, of which places in chunks say nothing
        (10, False, True, 4, 4),
        (10, False, True, 1, 1),
    ],
)
def test_robe_arrays_are_read_by_both_maps(
    tmp_path: Path, drawn: int, cpu: bool, second: bool, chunk: int, said: int | None
) -> None:
    memory = torch.randn(113)
    dlrm = made_dlrm()
    dlrm.tables = robe_tables(memory, chunk, second)
    torch.save({"state_dict": robe(dlrm, memory, drawn, cpu, chunk)}, tmp_path / "robe.pt")
    numbers, ids = made_rows(dlrm)

    told = Said(write_features(tmp_path / "f.yaml", SIZED), chunk=said)
    scores = imported_scores(tmp_path / "robe.pt", "robe", told, numbers, ids)

    assert scores == pytest.approx(dlrm.scores(numbers, dlrm.embeddings(ids)).numpy(), abs=1e-6)


@pytest.mark.parametrize("second", [False, True])
def test_robe_arrays_stay_as_small_as_they_are(run: Run, tmp_path: Path, second: bool) -> None:
    memory = torch.randn(113)
    dlrm = made_dlrm()
    dlrm.tables = robe_tables(memory, 4, second)
    torch.save(robe(dlrm, memory, 10 if second else 50), "robe.pt")
    features, scores = write_features(tmp_path / "f.yaml", SIZED), expected(tmp_path / "expected.csv", dlrm)

    done = run("import", "robe.pt", "--format", "robe", "--features", features, "--expect", scores, "--chunk", 4)

    assert done.status == 0, done.err
    assert difference(done.out) < 1e-6
    spec = read_spec(tmp_path / "artifacts/model/1/model.onnx")
    assert spec.embedding.scheme == ("robe-v2" if second else "robe-v1")
    assert spec.embedding_bytes == 4 * 113
    assert spec.full_table_bytes == 4 * DIM * sum(TABLE_ROWS)


@pytest.mark.parametrize(
    ("buckets", "ordered"),
    [([[2, 0, 1, 3]], False), ([[2, 0, 1, 3]], True), ([[2, 3], [0, 1]], False), ([[2, 3], [0, 1]], True)],
)
def test_nvidias_folder_has_its_tables_in_the_order_of_its_metadata(
    tmp_path: Path, buckets: list[list[int]], ordered: bool
) -> None:
    dlrm = made_dlrm()
    order = nvidia(dlrm, tmp_path / "checkpoint", buckets, ordered)
    numbers, ids = made_rows(dlrm)

    said = Said(write_features(tmp_path / "f.yaml", FIELDS))
    scores = imported_scores(tmp_path / "checkpoint", "nvidia", said, numbers, ids)

    # fields are in the interaction's order, as ids of the reference are, and called after the data's columns
    assert scores == pytest.approx(dlrm.scores(numbers, dlrm.embeddings(ids)).numpy(), abs=1e-6)
    spec = read_model(tmp_path / "checkpoint", "nvidia", said, "model").spec
    assert [field.name for field in spec.fields] == [f"C{column + 1}" for column in order]


def test_what_is_imported_is_served(run: Run, tmp_path: Path) -> None:
    dlrm = made_dlrm()
    torch.save(facebook(dlrm), "model.pt")
    features = write_features(tmp_path / "f.yaml", FIELDS)
    said = run("import", "model.pt", "--format", "facebook", "--features", features, "--name", "theirs")
    assert said.status == 0, said.err
    assert "note: nothing shows that it scores as it did where it was trained; --expect does" in said.out

    numbers, ids = made_rows(dlrm, 5)
    rows = {f"I{n + 1}": numbers[:, n].tolist() for n in range(3)} | {
        f"C{field + 1}": ids[:, field].tolist() for field in range(4)
    }
    with running(tmp_path / "artifacts") as server:
        answer = httpx.post(f"{server.url}/v1/score", json={"features": rows})
    scores = answer.json()["scores"]
    assert scores == pytest.approx(dlrm.scores(numbers, dlrm.embeddings(ids)).tolist(), abs=1e-6)
