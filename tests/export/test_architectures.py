"""The architectures beside DLRM, from the command line."""

import json
from pathlib import Path

import pytest

from testing.samples import write_csv
from tests.export.conftest import Run
from tests.export.test_cli import COLUMNS, refused

OTHERS = ["dcnv2", "deepfm", "wide-deep", "mlp"]
SMALL = ["--epochs", "1", "--batch-size", "64", "--embedding-dim", "8"]


@pytest.mark.parametrize("arch", OTHERS)
def test_it_learns(run: Run, arch: str) -> None:
    """AUCs are .70 to .71, and an untrained model's is .5; the loss is .92 to .93 times the constant's."""
    trained = run("train", "--preset", "feed", "--generate", "30000", "--arch", arch, "--epochs", "1")
    assert trained.status == 0, trained.err
    held_out = trained.out.split("\nheld out: ")[1]
    assert float(held_out.split("AUC ")[1].split()[0]) > 0.65
    assert float(held_out.split("normalised entropy ")[1].split(",")[0]) < 0.97


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        ("dcnv2", ["--memory", "3000", "--hot-rows", "auto", "--cross-layers", "2", "--cross-rank", "4"]),
        ("deepfm", ["--scheme", "full"]),
        ("wide-deep", ["--memory", "3000", "--platt", "--validation-share", "0.4"]),
        ("mlp", ["--scheme", "robe-v1", "--over-arch", "16,8"]),
    ],
)
def test_from_clicks_to_an_int8_file_and_on(run: Run, tmp_path: Path, arch: str, options: list[str]) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 1500)
    trained = run("train", csv, *COLUMNS, *SMALL, "--arch", arch, *options)
    assert trained.status == 0, trained.err
    exported = run("export", "runs/model", "--precision", "int8")
    assert exported.status == 0, exported.err
    assert "int8 MLPs cost: AUC " in exported.out
    artifact = tmp_path / "artifacts/model/1/model.onnx"
    assert f"\narchitecture       {arch}\n" in run("inspect", artifact).out
    assert json.loads(run("inspect", "--json", artifact).out)["architecture"]["kind"] == arch
    assert run("evaluate", artifact, csv, "--label", "clicked").status == 0
    on = run("train", csv, "--from", "runs/model")
    assert on.status == 0, on.err
    assert run("export", "runs/model-2").status == 0
    refused(run("train", csv, "--from", "runs/model", "--arch", arch), "leave out --arch, or train a new one")


def test_what_cannot_be(run: Run, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 100)
    refused(
        run("train", csv, *COLUMNS, "--arch", "transformer"),
        "no architecture 'transformer'; there are dlrm, dcnv2, deepfm, wide-deep, mlp",
    )
    refused(
        run("train", csv, *COLUMNS, "--arch", "dcnv2", "--cross-rank", "100"),
        "cross_rank 100 is more than the 48 inputs of a cross layer",
    )
    refused(
        run("train", csv, *COLUMNS, "--arch", "deepfm", "--embedding-dim", "1"),
        "embedding_dim must be 2 or more, a vector and a first-order weight, not 1",
    )


def test_a_plan_is_of_the_architecture_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 300)
    planned = run("plan", csv, *COLUMNS, "--arch", "deepfm", "--json")
    assert planned.status == 0, planned.err
    refused(run("plan", csv, *COLUMNS, "--arch", "deepfm", "--dense-arch", "8"), "leave out --dense-arch")
