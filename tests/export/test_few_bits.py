"""Runs whose embeddings are trained to have few bits, as they are by default, from the command line."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from testing.samples import random_batch, write_csv
from tests.export.conftest import Run
from tests.export.test_cli import COLUMNS, SMALL, refused
from thimble.export.artifact.agreement import onnx_scores, onnx_session
from thimble.export.training.checkpoint import load_trained
from thimble.export.training.evaluation import score

INT4 = ("--memory-precision", "int4")


def test_train_export_inspect_and_go_on(run: Run, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 2000)
    trained = run("train", csv, *COLUMNS, *SMALL, "--name", "shop", "--epochs", "2")
    assert trained.status == 0, trained.err
    model = load_trained(tmp_path / "runs" / "shop")
    assert model.spec.precision.memory == "int4" and model.spec.embedding_bytes == 4000
    exported = run("export", "runs/shop")
    assert exported.status == 0, exported.err
    assert "lookups identical, " in exported.out and "cost" not in exported.out
    artifact = tmp_path / "artifacts" / "shop" / "1" / "model.onnx"
    described = json.loads(run("inspect", "--json", artifact).out)
    assert described["precision"] == {"memory": "int4", "mlps": "fp32"}
    assert "memory             7,992 int4 weights in chunks of 2\n" in run("inspect", artifact).out
    file = onnx.load(artifact)
    (memory,) = (tensor for tensor in file.graph.initializer if tensor.name.endswith("memory"))
    assert len(memory.raw_data) + 4 == described["embedding_bytes"]
    batch = random_batch(model.spec, 300)
    np.testing.assert_allclose(onnx_scores(onnx_session(str(artifact)), batch), score(model.dlrm, batch), atol=1e-6)

    small = run("export", "runs/shop", "--precision", "int8")
    assert small.status == 0, small.err
    assert "int4 embeddings, int8 MLPs cost: AUC " in small.out
    refused(
        run("export", "runs/shop", "--memory-precision", "fp16"),
        "the run was trained for int4 embeddings; export it with --memory-precision int4",
    )
    refused(run("train", csv, "--from", "runs/shop", *INT4), "leave out --memory-precision")
    on = run("train", csv, "--from", "runs/shop")
    assert on.status == 0, on.err
    step = [
        load_trained(tmp_path / "runs" / name).dlrm.get_parameter("sparse_arch.quantizer.log_step")
        for name in ("shop", "shop-2")
    ]
    assert step[0] != step[1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--scheme", "robe-v1", *INT4), "int4 embeddings are for scheme block; robe-v1 takes fp32 and fp16"),
        (("--scheme", "full", *INT4), "int4 embeddings are for scheme block; full takes fp32 and fp16"),
        (("--chunk", "5", *INT4), "int4 embeddings lie two in a byte, so chunk_size 5 must be even"),
        (
            ("--chunk", "5"),
            "embeddings have 4 bits where nothing is said, which takes an even --chunk, not 5: "
            "give an even one, or --memory-precision fp32",
        ),
        (("--memory", "6", *INT4), "a memory of 6 bytes does not hold two int4 chunks of 4 weights"),
    ],
)
def test_what_cannot_be(run: Run, tmp_path: Path, options: tuple[str, ...], sentence: str) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 100)
    said = run("train", csv, *COLUMNS, *options)
    assert said.status != 0 and sentence in said.err.replace("\n", " ")
    assert not (tmp_path / "runs" / "model").exists()


@pytest.mark.parametrize(
    "options",
    [
        *(["--scheme", scheme] for scheme in ("robe-v1", "robe-v2", "full")),
        ["--scheme", "robe-v1", "--chunk", "5"],
        ["--chunk", "5", "--memory-precision", "fp32"],
    ],
)
def test_what_has_no_four_bits_is_float32_and_goes_on_so(run: Run, tmp_path: Path, options: list[str]) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 200)
    for arguments in (["--embedding-dim", "8", *COLUMNS, *options], ["--from", "runs/model"]):
        trained = run("train", csv, *arguments)
        assert trained.status == 0, trained.err
    for name in ("model", "model-2"):
        assert load_trained(tmp_path / "runs" / name).spec.precision.memory == "fp32"


def test_numbers_alone_have_no_embeddings(run: Run, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 100)
    said = run("train", csv, "--label", "clicked", "--dense", "age,price", *INT4)
    refused(said, "a model of numbers alone has no embeddings: leave out --memory-precision")
