"""From real impressions of another schema than Criteo's to scored requests: strings, a number, a named label."""

import csv
import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from testing.data import OPEN_BANDIT, needs
from testing.servers import running
from thimble.export.artifact.pipeline import export
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import split
from thimble.export.clicks.survey import Survey, survey
from thimble.export.console import metrics_line
from thimble.export.scoring.evaluate import evaluate_artifact
from thimble.export.training.checkpoint import load_trained
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import OwnModel
from thimble.export.training.train import train
from thimble.models.inputs import Kind
from thimble.models.spec import ModelSpec
from thimble.models.transforms import learnt

LABEL = "click"
DENSE = ["item_feature_0"]
FIELDS: dict[Kind, list[str]] = {
    "int": ["item_id", "position"],
    "hex": [],
    "string": [*(f"user_feature_{i}" for i in range(4)), *(f"item_feature_{i}" for i in range(1, 4))],
}


OWN = OwnModel(name="zozo", dense=DENSE, fields=FIELDS, memory=4096, dense_arch=[32], over_arch=[32])
BLANK = OWN.spec()


def spec(scheme: str, found: Survey) -> ModelSpec:
    return replace(OWN, scheme=scheme).spec(found.ids, learnt("quantiles", found.numbers))


@needs(OPEN_BANDIT)
def test_real_impressions_train_export_serve_and_score_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = survey(split(FileClicks([OPEN_BANDIT], BLANK, LABEL)).training, BLANK)
    assert found.ids["item_id"] == 80 and found.ids["position"] == 3 and found.ids["user_feature_3"] == 10

    for scheme in ("full", "block"):
        source = FileClicks([OPEN_BANDIT], spec(scheme, found), LABEL)
        metrics = train(source.spec, split(source), Recipe(), tmp_path / scheme)
        assert metrics.rows == 6000 and metrics.auc_interval is not None and not source.bad.count
        with capsys.disabled():
            print(f"\nOpen Bandit, {scheme} embeddings of {source.spec.embedding_bytes} bytes: {metrics_line(metrics)}")

    path = export(load_trained(tmp_path / "block"), tmp_path / "artifacts").path
    with gzip.open(OPEN_BANDIT, "rt") as file:
        held_out = list(csv.DictReader(file))[-6000:]
    with (tmp_path / "held_out.csv").open("w") as plain:
        writer = csv.DictWriter(plain, held_out[0].keys())
        writer.writeheader()
        writer.writerows(held_out)
    by_trainer = evaluate_artifact(path, FileClicks([tmp_path / "held_out.csv"], source.spec, LABEL))
    assert by_trainer.metrics().auc == pytest.approx(metrics.auc, abs=1e-4)

    features: dict[str, list[Any]] = {"item_feature_0": [float(row["item_feature_0"]) for row in held_out]}
    features |= {name: [int(row[name]) for row in held_out] for name in FIELDS["int"]}
    features |= {name: [row[name] for row in held_out] for name in FIELDS["string"]}
    lines = "\n".join("\t".join(row[name] for name in source.spec.feature_names) for row in held_out)
    with running(tmp_path / "artifacts") as server, httpx.Client(base_url=server.url, timeout=60) as client:
        by_json = client.post("/v1/score", json={"features": features}).json()["scores"]
        tsv = {"Content-Type": "text/tab-separated-values"}
        by_lines = client.post("/v1/score", content=lines, headers=tsv).json()["scores"]
    np.testing.assert_allclose(by_json, by_trainer.scores, atol=1e-5)
    np.testing.assert_allclose(by_lines, by_json, atol=1e-6)
