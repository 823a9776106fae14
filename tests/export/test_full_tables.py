"""Full tables of files have a row for every id, from the rows to train on to the scores of a server."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from testing.indexed import table_of
from testing.servers import running
from tests.export.conftest import Run
from thimble.client import Client
from thimble.export.artifact.agreement import numpy_embeddings, onnx_session
from thimble.export.scoring.evaluate import read_spec
from thimble.export.training.checkpoint import load_trained
from thimble.models.features import Batch
from thimble.models.hashing import ID_LIMIT

COLUMNS = ["--label", "clicked", "--dense", "price", "--int", "user", "--string", "shop"]
SIZES = ["--batch-size", "64", "--epochs", "2", "--embedding-dim", "8", "--dense-arch", "8", "--over-arch", "8"]
ROWS = 3000


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    """Ten users, whose numbers are multiples of ten: half of them click. A tenth of the rows has no user."""
    random = np.random.default_rng(0)
    users = 10 * random.integers(1, 11, ROWS)
    known = random.random(ROWS) > 0.1
    clicked = (users % 20 == 0) ^ (random.random(ROWS) < 0.05)
    shops = [f"shop {i}" for i in random.integers(0, 30, ROWS)]
    shops[7], users[8] = "seen once", ID_LIMIT - 1
    rows = zip(clicked, users, known, shops, strict=True)
    lines = [f"{int(click)},1,{user if is_known else ''},{shop}" for click, user, is_known, shop in rows]
    path = tmp_path / "clicks.csv"
    path.write_text("\n".join(["clicked,price,user,shop", *lines]) + "\n")
    return path


def test_ids_that_would_meet_in_a_row_are_told_apart_and_those_never_seen_are_alike(run: Run, clicks: Path) -> None:
    trained = run("train", clicks, *COLUMNS, *SIZES, "--scheme", "full", "--name", "tables")
    assert trained.status == 0, trained.err
    assert float(trained.out.split("held out: AUC ")[1].split()[0]) > 0.85
    exported = run("export", "runs/tables")
    assert exported.status == 0, exported.err
    path = clicks.parent / "artifacts/tables/1/model.onnx"
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.onnx", "model.weights"]
    inspected = run("inspect", path).out
    assert "embedding          full version 2, dimension 8" in inspected
    assert "rows               42 ids have one of their own; their index weighs" in inspected

    users = [10, 20, None, ID_LIMIT - 1, 5, 11, 1 << 50]
    shops = ["shop 1", "seen once", "never seen", "nor this", None]
    with running(path.parents[2]) as server, Client(server.url) as client:
        by_user = client.score({"user": users, "shop": "shop 1", "price": 1})
        by_shop = client.score({"user": 10, "shop": shops, "price": 1})
    assert by_user[1] > 0.7 and by_user[0] < 0.3
    assert len(set(by_user[:4])) == 4
    assert set(by_user[4:]) == {by_user[3]}  # that came once
    assert by_shop[1] == by_shop[2] == by_shop[3]
    assert len({by_shop[0], by_shop[1], by_shop[4]}) == 3

    _, _, model, *_ = load_trained(clicks.parent / "runs/tables")
    spec = read_spec(path)
    ids = np.array([[user or 0, 0] for user in users])
    batch = Batch(np.full((len(users), 1), 1, np.float32), ids)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    written = onnx.load(path, load_external_data=False)
    (rows,) = [node for node in written.graph.node if node.input[0] == "dlrm.sparse_arch.table.weight"]
    del written.graph.output[:]
    written.graph.output.add(name=rows.output[0])
    by_onnx = onnx_session(written.SerializeToString(), path.parent).run(None, batch._asdict())[0]
    with torch.inference_mode():
        by_torch = table_of(model)(torch.from_numpy(ids)).numpy()
    assert by_onnx.tobytes() == by_torch.tobytes() == numpy_embeddings(spec, weights, batch).tobytes()
