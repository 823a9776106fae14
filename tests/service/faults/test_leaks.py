"""What a server tells of the clicks that its models were trained and tried on: nothing, but to those with a key."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import onnx
import pytest

from testing.artifacts import spoil, write_artifact
from testing.samples import SCHEMES, small_spec
from testing.servers import Server, running
from thimble.export.artifact.agreement import onnx_scores, onnx_session
from thimble.export.artifact.graph import describe
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.golden import golden_batch
from thimble.export.scoring.evaluate import read_spec
from thimble.models.presets import preset
from thimble.models.provenance import Provenance
from thimble.models.spec import GoldenFeatures, GoldenRows, ModelSpec

API, ADMIN = "the-key-of-the-website", "the-key-of-those-on-call"
SPEC = small_spec(dense=2, kinds=("string", "int", "hex"))
# Values that nobody would make up.
REAL: GoldenFeatures = {
    "d0": [-8675309.5, None],
    "d1": [2718281, -3141592],
    "f0": ["Ms Jane\tRoe, Elm Street", "Mr John\nDoe"],
    "f1": [271828182845904, 314159265358979],
    "f2": ["5ec2e7c0de", "badc0ffee"],
}


def trained_on(source: str) -> Provenance:
    return Provenance(source=source, rows_trained=9, epochs=1, batch_size=3, seed=0, tool="thimble")


def write_trained(repository: Path, name: str, source: str, features: GoldenFeatures = REAL) -> Path:
    """A model with these rows as its golden ones."""
    path = write_artifact(SPEC, repository, name, 1)
    scores = onnx_scores(onnx_session(str(path)), golden_batch(SPEC, features)).tolist()
    golden = GoldenRows(features=features, scores=scores)
    rewrite(path, provenance=trained_on(source), golden=golden)
    return path


def rewrite(path: Path, **changed: Any) -> None:
    model = onnx.load(path)
    describe(model, read_spec(path).model_copy(update=changed))
    onnx.save_model(model, path)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a model that was trained on somebody's clicks."""
    repository = tmp_path_factory.mktemp("real")
    write_trained(repository, "shop", "impressions.csv")
    return repository


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with a model that was trained on clicks of ours."""
    repository = tmp_path_factory.mktemp("generated")
    write_trained(repository, "shop", GeneratedClicks(preset("demo"), 9, 7).description)
    return repository


@pytest.fixture(scope="module")
def opened(real: Path) -> Iterator[Server]:
    """A server without keys."""
    with running(real) as server:
        yield server


def traces() -> list[str]:
    """All forms that a golden value may have in a text."""
    values = {part for column in REAL.values() for value in column for part in re.split(r"[\t\n]", str(value))}
    ids = golden_batch(SPEC, REAL).ids.ravel().tolist()
    return sorted(values - {"None"}) + [str(number) for number in ids]


def found_in(text: str) -> list[str]:
    return [trace for trace in traces() if trace in text]


def test_no_page_and_no_line_shows_a_golden_row(opened: Server) -> None:
    with httpx.Client(base_url=opened.url, timeout=30) as client:
        description = client.get("/openapi.json")
        paths: dict[str, Any] = description.json()["paths"]
        pages = [path.format(model="shop", version="1") for path, item in paths.items() if "get" in item]
        answers = [client.get(path) for path in (*pages, "/docs", "/openapi.json")]
        answers += [client.post(path, content=b"{") for path in paths if path.endswith(("score", "infer"))]
    assert len(answers) > 20
    for answer in answers:
        assert found_in(answer.text) == [], answer.url
    assert found_in("\n".join(opened.lines)) == []


def test_a_golden_value_that_its_feature_does_not_take_is_not_quoted(tmp_path: Path) -> None:
    path = write_artifact(SPEC, tmp_path, "shop", 1)
    golden = read_spec(path).golden
    assert golden is not None
    secret = "Jane Roe, Elm Street"
    features = {**golden.features, "f2": [*golden.features["f2"][:-1], secret]}
    rewrite(path, golden=GoldenRows(features=features, scores=golden.scores))
    server = Server(path, "--port", "0")
    server.wait_for_line("golden row 7: f2 ")
    assert server.wait() == 1
    assert secret not in "\n".join(server.lines)


@pytest.fixture(scope="module")
def every_scheme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("schemes")
    for scheme in SCHEMES:
        write_artifact(small_spec(scheme, kinds=("string", "int", "hex")), repository, scheme, 1)
    with running(repository) as server:
        yield server


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_example_is_scored_as_it_says_in_each_form(every_scheme: Server, scheme: str) -> None:
    with httpx.Client(base_url=every_scheme.url, timeout=30) as client:
        paths = client.get("/openapi.json").json()["paths"]
        score, infer = (
            paths[f"/{path}"]["post"] for path in (f"v1/models/{scheme}/score", f"v2/models/{scheme}/infer")
        )
        forms = score["requestBody"]["content"]
        (expected,) = shown(score)["scores"]
        named = client.post(f"/v1/models/{scheme}/score", json=forms["application/json"]["example"])
        line = forms["text/tab-separated-values"]["example"]
        headers = {"Content-Type": "text/tab-separated-values"}
        lined = client.post(f"/v1/models/{scheme}/score", content=line, headers=headers)
        example = infer["requestBody"]["content"]["application/json"]["example"]
        inferred = client.post(f"/v2/models/{scheme}/infer", json=example)
    assert named.json()["scores"] == lined.json()["scores"] == inferred.json()["outputs"][0]["data"]
    assert named.json()["scores"] == pytest.approx([expected], abs=1e-5)
    assert shown(infer)["outputs"][0]["data"] == [expected]


def shown(operation: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = operation["responses"]["200"]["content"]["application/json"]["example"]
    return answer


def test_where_the_example_gets_no_score_none_is_shown(tmp_path: Path) -> None:
    features: GoldenFeatures = {**REAL, "d0": [0, None]}
    spoil(write_trained(tmp_path, "shop", "impressions.csv", features), above=0.5)
    with running(tmp_path) as server:
        operation = httpx.get(f"{server.url}/openapi.json").json()["paths"]["/v1/score"]["post"]
        assert operation["requestBody"]["content"]["application/json"]["example"]
        assert "example" not in operation["responses"]["200"]["content"]["application/json"]
        assert httpx.post(f"{server.url}/v1/score", json={"features": {"d0": 0}}).status_code == 200


def golden(server: Server, key: str | None = None, path: str = "/v1/models/shop/golden") -> httpx.Response:
    return httpx.get(server.url + path, headers={} if key is None else {"Authorization": f"Bearer {key}"})


def assert_golden(answer: httpx.Response, spec: ModelSpec) -> None:
    assert answer.status_code == 200, answer.text
    assert spec.golden is not None
    assert answer.json() == {"model": "shop", "version": 1, **spec.golden.model_dump()}


def test_golden_rows_are_off_without_keys(opened: Server) -> None:
    for key in (None, API):
        answer = golden(opened, key)
        assert answer.status_code == 403
        assert answer.json() == {"error": "this is off: it needs a key, and none is set (--api-keys-file)"}
    assert golden(opened, path="/v1/models/none/golden").status_code == 404
    assert golden(opened, path="/v1/models/shop/versions/7/golden").status_code == 404


@pytest.mark.parametrize(
    ("variable", "good"), [("THIMBLE_API_KEYS", API), ("THIMBLE_ADMIN_KEYS", ADMIN)], ids=["api", "admin"]
)
def test_golden_rows_need_a_key(real: Path, variable: str, good: str) -> None:
    spec = read_spec(real / "shop/1/model.onnx")
    with running(real, env={variable: good}) as server:
        assert golden(server).status_code == golden(server, good + "x").status_code == 401
        for path in ("/v1/models/shop/golden", "/v1/models/shop/versions/1/golden"):
            assert_golden(golden(server, good, path), spec)


def test_golden_rows_of_generated_clicks_are_open_where_scoring_is(generated: Path) -> None:
    spec = read_spec(generated / "shop/1/model.onnx")
    with running(generated) as server:
        assert_golden(golden(server), spec)
    with running(generated, env={"THIMBLE_ADMIN_KEYS": ADMIN}) as server:
        assert_golden(golden(server), spec)
    with running(generated, env={"THIMBLE_API_KEYS": API}) as server:
        assert golden(server).status_code == 401
        assert_golden(golden(server, API), spec)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "clicks.csv",
        "generated clicks, seed 0.csv",
        "generated clicks, seed 0, clicks.csv",
        "a, generated clicks, seed 0",
    ],
)
def test_a_file_of_any_name_is_no_generated_source(source: str) -> None:
    assert not trained_on(source).generated
