"""Hot rows from the command line to the scores of a server."""

import json
from pathlib import Path

import numpy as np
import pytest

from testing.servers import running
from tests.export.conftest import Run
from tests.export.test_cli import refused
from thimble.client import Client
from thimble.export.artifact.agreement import numpy_embeddings, onnx_scores, onnx_session
from thimble.export.scoring.evaluate import read_spec
from thimble.export.training.checkpoint import load_trained
from thimble.models.features import Batch
from thimble.models.schemes.block import BlockEmbedding

COLUMNS = ["--label", "clicked", "--dense", "price", "--int", "user", "--string", "shop"]
SIZES = ["--batch-size", "64", "--epochs", "2", "--embedding-dim", "8", "--dense-arch", "8", "--over-arch", "8"]
AUTO = ["--memory", "3000", "--hot-rows", "auto"]
HOT = 20


def write_day(path: Path, first: int, rows: int = 3000) -> Path:
    """Two thirds of the rows are of HOT users, from `first` on, of whom those with even numbers click."""
    random = np.random.default_rng(first)
    hot = random.random(rows) < 2 / 3
    users = np.where(hot, first + random.integers(0, HOT, rows), random.integers(10_000, 1 << 40, rows))
    clicked = (users % 2 == 0) ^ (random.random(rows) < 0.05)
    lines = [f"{int(click)},1,{user},shop {user % 7}" for click, user in zip(clicked, users, strict=True)]
    path.write_text("\n".join(["clicked,price,user,shop", *lines]) + "\n")
    return path


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    return write_day(tmp_path / "clicks.csv", 0)


def test_a_served_model_knows_its_hot_ids_and_all_others(run: Run, clicks: Path) -> None:
    trained = run("train", clicks, *COLUMNS, *SIZES, *AUTO, "--name", "hot")
    assert trained.status == 0, trained.err
    assert "hot rows: 27 ids with 83% of the reads have rows of their own; all others share " in trained.out
    assert run("export", "runs/hot").status == 0
    path = clicks.parent / "artifacts/hot/1/model.onnx"
    inspected = run("inspect", path).out
    assert "embedding          block version 2, dimension 8" in inspected
    assert "hot rows           27 ids with 83% of the training data's reads; their keys weigh " in inspected
    spec = read_spec(path)
    assert 2900 < spec.embedding_bytes <= 3000

    users = [2, 3, 8, None, 1 << 50, 12_345]
    with running(path.parents[2]) as server, Client(server.url) as client:
        scores = client.score({"user": users, "shop": "shop 1", "price": 1})
    assert scores[0] > 0.6 > 0.4 > scores[1] and scores[2] > 0.6
    batch = Batch(np.ones((3, 1), np.float32), np.array([[2, 5], [3, 1 << 59], [1 << 50, 0]]))
    model = load_trained(clicks.parent / "runs/hot").dlrm
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    assert numpy_embeddings(spec, weights, batch).shape == (3, 2, 8)
    assert len(set(onnx_scores(onnx_session(str(path)), batch).tolist())) == 3


def test_without_hot_rows_a_file_is_what_it_was(run: Run, clicks: Path) -> None:
    trained = run("train", clicks, *COLUMNS, *SIZES, "--memory", "3000", "--name", "plain")
    assert trained.status == 0, trained.err
    assert "hot rows" not in trained.out
    assert run("export", "runs/plain").status == 0
    path = clicks.parent / "artifacts/plain/1/model.onnx"
    shown = json.loads(run("inspect", path, "--json").out)
    assert shown["embedding"]["version"] == 1 and "hot rows" not in run("inspect", path).out
    assert read_spec(path).embedding_bytes == 3000


def test_the_next_day_promotes(run: Run, clicks: Path) -> None:
    assert run("train", clicks, *COLUMNS, *SIZES, *AUTO, "--name", "hot").status == 0
    write_day(clicks.parent / "next.csv", HOT)
    said = run("train", "next.csv", "--from", "runs/hot")
    assert said.status == 0, said.err
    assert "hot rows: 27 ids with 8" in said.out
    assert run("export", "runs/hot-2").status == 0
    specs = [load_trained(clicks.parent / "runs" / name).spec.embedding for name in ("hot", "hot-2")]
    assert all(isinstance(it, BlockEmbedding) for it in specs)
    assert specs[0].model_dump(exclude={"hot"}) == specs[1].model_dump(exclude={"hot"})
    refused(run("train", "next.csv", "--from", "runs/hot", "--hot-rows", "auto"), "leave out --hot-rows")


def test_where_no_row_would_pay_that_is_said(run: Run, tmp_path: Path) -> None:
    rows = [f"{n % 2},1,{n},shop {n}" for n in range(200)]
    (tmp_path / "even.csv").write_text("\n".join(["clicked,price,user,shop", *rows]) + "\n")
    said = run("train", "even.csv", *COLUMNS, *SIZES, *AUTO)
    assert said.status == 0, said.err
    assert "hot rows: none would pay, so all ids share the memory\n" in said.out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--scheme", "robe-v1"], "of the schemes block alone has hot rows: leave out --hot-rows"),
        (["--scheme", "full"], "--scheme full shares no array: leave out --hot-rows"),
    ],
)
def test_where_there_are_none_to_be_had(run: Run, clicks: Path, options: list[str], sentence: str) -> None:
    refused(run("train", clicks, *COLUMNS, "--hot-rows", "auto", *options), sentence)
