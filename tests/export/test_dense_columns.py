"""Columns of numbers as people have them, from a file to the scores of a server."""

import json
import re
from pathlib import Path

import httpx
import numpy as np
import pytest

from testing.artifacts import write_artifact
from testing.samples import small_spec
from testing.servers import running
from tests.export.conftest import Run
from thimble.client import Client
from thimble.models.spec import ModelSpec
from thimble.models.transforms.scaled import LOG1P, ScaledColumn, ScaledTransform

COLUMNS = ["--label", "clicked", "--dense", "balance,spent,never", "--int", "user", "--in-order"]
SIZES = [
    "--memory",
    "2000",
    "--batch-size",
    "64",
    "--epochs",
    "2",
    "--embedding-dim",
    "8",
    "--dense-arch",
    "16",
    "--over-arch",
    "16",
]


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    """Who clicks is those with a balance above -5, which is never above 0, and those of whom it is not known.

    What is spent says nothing, and in the rows that are held out it is another amount. The last column is empty.
    """
    random = np.random.default_rng(0)
    rows = 4000
    balance = -10 * random.random(rows)
    unknown = random.random(rows) < 0.2
    clicked = (balance > -5) | unknown ^ (random.random(rows) < 0.1)
    lines = ["clicked,balance,spent,never,user"]
    for row in range(rows):
        shown = "" if unknown[row] else f"{balance[row]:.3f}"
        spent = 10 if row < 0.9 * rows else 1_000_000
        lines.append(f"{int(clicked[row])},{shown},{spent},,{random.integers(9)}")
    path = tmp_path / "clicks.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def auc(out: str) -> float:
    return float(out.split("held out: AUC ")[1].split()[0])


def test_numbers_below_zero_are_learnt_from_and_served(run: Run, clicks: Path, tmp_path: Path) -> None:
    assert auc(run("train", clicks, *COLUMNS, *SIZES, "--dense-transform", "criteo", "--name", "criteo").out) < 0.75
    trained = run("train", clicks, *COLUMNS, *SIZES, "--name", "own")
    assert trained.status == 0, trained.err
    assert auc(trained.out) > 0.85
    again = run("train", clicks, *COLUMNS, *SIZES, "--name", "own")  # a finished run, of the same figures
    assert again.status == 0 and again.out.splitlines()[-1] == trained.out.splitlines()[-1]

    assert run("export", "runs/own").status == 0
    artifact = "artifacts/own/1/model.onnx"
    inspected = run("inspect", artifact).out
    assert "numbers            quantiles: 20 bins a column, and whether it is missing\n" in inspected
    assert " balance: -9.99" in inspected and ", 20 bins, 20." in inspected
    assert " spent: always 10, 0.0% missing\n" in inspected  # what is held out teaches nothing
    assert " never: always missing\n" in inspected
    described = json.loads(run("inspect", "--json", artifact).out)["dense_transform"]
    assert described["kind"] == "quantiles" and len(described["columns"][0]["edges"]) == 21
    assert auc(f"held out: {run('evaluate', artifact, clicks, '--label', 'clicked').out}") > 0.85

    with running(tmp_path / "artifacts") as server, httpx.Client(base_url=server.url) as client:

        def scores(balance: list[float | None], spent: float | None = 10, never: float | None = None) -> list[float]:
            features = {"balance": balance, "spent": spent, "never": never, "user": 1}
            answer = client.post("/v1/models/own/score", json={"features": features})
            assert answer.status_code == 200, answer.text
            found: list[float] = answer.json()["scores"]
            assert all(0 < score < 1 for score in found)
            return found

        low, high, zero, missing = scores([-9, -1, 0, None])
        assert low < 0.3 and min(high, zero, missing) > 0.7 and missing != zero
        assert scores([-3.4028235e38, 3.4028235e38]) == scores([-10, 0])
        assert len(scores([1e-45, -1e-45, 1e38, -1e38, 1.5e9])) == 5
        with Client(server.url, "own") as python:
            arrays = python.score_arrays(np.array([[-9, 10, np.nan], [np.nan] * 3]), np.array([[1], [1]]))
        np.testing.assert_allclose(arrays, [low, missing], rtol=1e-6)
        # of these two no other value was ever seen, so that none means anything
        assert scores([-9], 10) == scores([-9], -1e38) == scores([-9], None) == scores([-9], 10, never=3)


def test_presets_keep_criteos_recipe(run: Run) -> None:
    refused = run("train", "--generate", "1000", "--preset", "criteo-kaggle", "--dense-transform", "quantiles")
    assert refused.status == 1
    assert "--preset has criteo for its numbers; --dense-transform quantiles is for columns" in refused.err


def test_numbers_of_a_model_that_was_trained_elsewhere(run: Run, tmp_path: Path) -> None:
    columns = [ScaledColumn(log=LOG1P, missing=5), ScaledColumn(centre=200, scale=100), ScaledColumn()]
    plain = small_spec(dense=3, kinds=())
    spec = ModelSpec.model_validate(dict(plain) | {"dense_transform": ScaledTransform(columns=columns)})
    artifact = write_artifact(spec, tmp_path / "artifacts")
    inspected = run("inspect", artifact).out
    assert re.search("^numbers +scaled: each column by a formula of its own$", inspected, re.MULTILINE)
    assert " d0: ln(max(x + 1, 1)), a missing number as 5\n" in inspected
    assert " d1: (x - 200) / 100, a missing number as 0\n" in inspected
    assert json.loads(run("inspect", "--json", artifact).out)["dense_transform"] == spec.dense_transform.model_dump()
    with running(tmp_path / "artifacts") as server, httpx.Client(base_url=server.url) as client:

        def scores(d0: object, d1: object, d2: object) -> list[float]:
            answer = client.post("/v1/score", json={"features": {"d0": d0, "d1": d1, "d2": d2}})
            assert answer.status_code == 200, answer.text
            found: list[float] = answer.json()["scores"]
            return found

        missing, known, other = scores([None, 5, 6], 200, 1)
        assert missing == known != other
        assert scores(-7, 0, 1) == scores(0, None, 1)
        extreme = [-3.4028235e38, -1e38, 1e38, 3.4028235e38, 1e-45, None]
        assert len(scores(extreme, extreme[::-1], extreme)) == len(extreme)  # 200: all of them are finite
