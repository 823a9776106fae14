import asyncio
import json
from pathlib import Path

import httpx
import onnx
import pytest

from testing.artifacts import write_artifact
from testing.samples import small_spec
from thimble.export.agreement import onnx_scores, onnx_session
from thimble.export.evaluate import read_spec
from thimble.export.golden import golden_batch
from thimble.export.graph import describe
from thimble.models.spec import GoldenRows
from thimble.service.http.operations import scoring_operations
from thimble.service.releases.catalogue import Registry
from thimble.service.settings import Settings
from thimble.service.wire.rows import RowReader


def test_examples_are_a_row_that_both_forms_can_carry(tmp_path: Path) -> None:
    path = write_artifact(small_spec(kinds=("string", "int")), tmp_path, "texts")
    spec = read_spec(path)
    assert spec.golden is not None
    features = {**spec.golden.features, "f0": ["a\tb", "a\nb", "a\rb", *spec.golden.features["f0"][3:]]}
    scores = onnx_scores(onnx_session(str(path)), golden_batch(spec, features)).tolist()
    model = onnx.load(path)
    describe(model, spec.model_copy(update={"golden": GoldenRows(features=features, scores=scores)}))
    onnx.save_model(model, path)

    registry = asyncio.run(Registry.open(Settings(repository=tmp_path)))
    operation = scoring_operations(registry).paths["/v1/score"]["post"]
    forms = operation["requestBody"]["content"]
    expected = operation["responses"]["200"]["content"]["application/json"]["example"]["scores"]
    score = registry.find().engine.score
    json_body = json.dumps(forms["application/json"]["example"]).encode()
    by_json = score(RowReader(spec, 9).json(json_body))
    by_line = score(RowReader(spec, 9).tsv(forms["text/tab-separated-values"]["example"].encode()))
    assert by_json.tolist() == pytest.approx(expected, abs=1e-5)
    assert by_line.tolist() == pytest.approx(expected, abs=1e-5)


def test_only_answers_that_can_come_are_described(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    statuses = {path: set(operation["responses"]) for path, item in paths.items() for operation in item.values()}
    assert statuses["/v2"] == statuses["/v2/models/stats"] == statuses["/v1/models"] == {"200"}
    assert statuses["/v2/models/{model}"] == statuses["/v2/models/{model}/versions/{version}/config"] == {"200", "404"}
    for path in ("/v1/score", "/v2/models/criteo/infer"):
        assert statuses[path] == {"200", "400", "404", "408", "413", "415", "429", "504"}
