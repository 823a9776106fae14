"""Models of ids alone, of one field alone and of a number alone, behind one server and in each form of a request."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import np_to_triton_dtype

from testing.artifacts import write_artifact
from testing.samples import small_spec
from testing.servers import Server, running
from thimble.client import AsyncClient, Client, ThimbleError
from thimble.export.clicks.golden import golden_batch
from thimble.export.scoring.evaluate import read_spec
from thimble.loadtests.results.run import Run
from thimble.loadtests.traffic.answers import problem
from thimble.loadtests.traffic.requests import Traffic, prepare
from thimble.loadtests.traffic.served import served
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.spec import ModelSpec

SPECS = {
    "ids": small_spec(dense=0, kinds=("string", "int", "hex")),
    "field": small_spec(dense=0, kinds=("int",)),
    "number": small_spec(dense=1, kinds=()),
}


class Model(NamedTuple):
    """A model that is served, and its golden rows."""

    spec: ModelSpec
    batch: Batch
    scores: Floats

    @property
    def tensor(self) -> str:
        """The only one."""
        (name,) = self.batch.fed()
        return name


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    for name, spec in SPECS.items():
        write_artifact(spec, folder, name, 1)
    return folder


@pytest.fixture(scope="module")
def alone(repository: Path) -> Iterator[Server]:
    with running(repository) as server:
        yield server


@pytest.fixture(params=SPECS)
def model(repository: Path, request: pytest.FixtureRequest) -> Model:
    spec = read_spec(repository / request.param / "1" / "model.onnx")
    assert spec.golden is not None
    batch = golden_batch(spec, spec.golden.features)
    return Model(spec, batch, np.array(spec.golden.scores, np.float32))


def lines(spec: ModelSpec, before: str = "") -> str:
    assert spec.golden is not None
    rows = zip(*(spec.golden.features[name] for name in spec.feature_names), strict=True)
    return "".join(before + "\t".join("" if it is None else str(it) for it in row) + "\n" for row in rows)


def test_json_and_lines_are_scored(alone: Server, model: Model) -> None:
    assert model.spec.golden is not None
    url = f"{alone.url}/v1/models/{model.spec.name}/score"
    text = {"Content-Type": "text/tab-separated-values"}
    for answer in (
        httpx.post(url, json={"features": model.spec.golden.features}),
        httpx.post(url, content=lines(model.spec).encode(), headers=text),
        httpx.post(url, content=lines(model.spec, "1\t").encode(), headers=text),
    ):
        assert answer.status_code == 200, answer.text
        np.testing.assert_allclose(answer.json()["scores"], model.scores, atol=1e-6)
    features = {name: values[0] for name, values in model.spec.golden.features.items()}
    answer = httpx.post(url, json={"features": features})
    assert answer.json()["scores"] == pytest.approx([model.scores[0]], abs=1e-6)


def test_an_empty_line_is_a_row_of_a_model_with_one_feature_alone(alone: Server, model: Model) -> None:
    url, text = f"{alone.url}/v1/models/{model.spec.name}/score", {"Content-Type": "text/tab-separated-values"}
    missing = httpx.post(url, json={"features": {}}).json()["scores"]
    answer = httpx.post(url, content=b"\n\n", headers=text)
    if len(model.spec.feature_names) == 1:
        assert answer.json()["scores"] == missing * 2
    else:
        assert (answer.status_code, answer.json()) == (400, {"error": "the body is empty"})
    nothing = httpx.post(url, content=b"", headers=text)
    assert (nothing.status_code, nothing.json()) == (400, {"error": "the body is empty"})


def test_tritons_client_sends_one_tensor(alone: Server, model: Model) -> None:
    name, array = model.tensor, model.batch.fed()[model.tensor]
    with triton.InferenceServerClient(alone.url.removeprefix("http://")) as client:
        (described,) = client.get_model_metadata(model.spec.name)["inputs"]
        assert (described["name"], described["shape"]) == (name, [-1, array.shape[1]])
        (configured,) = client.get_model_config(model.spec.name)["input"]
        assert (configured["name"], configured["dims"]) == (name, [array.shape[1]])
        for binary in (True, False):
            tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(array, binary_data=binary)
            found = client.infer(model.spec.name, [tensor]).as_numpy("score")
            np.testing.assert_allclose(found, model.scores, atol=1e-6)


def test_our_client_sends_features_and_one_array(alone: Server, model: Model) -> None:
    assert model.spec.golden is not None
    dense, ids = model.batch.fed().get("dense"), model.batch.fed().get("ids")
    with Client(alone.url, model.spec.name) as client:
        np.testing.assert_allclose(client.score(model.spec.golden.features), model.scores, atol=1e-6)
        np.testing.assert_allclose(client.score_arrays(dense, ids), model.scores, atol=1e-6)
        alone_by_name = client.score_arrays(dense=dense) if ids is None else client.score_arrays(ids=ids)
        np.testing.assert_allclose(alone_by_name, model.scores, atol=1e-6)
        other = "ids" if ids is None else "dense"
        with pytest.raises(ThimbleError, match=f"input '{other}' is none of the model's: {model.tensor}$"):
            client.score_arrays(np.zeros((1, 1), np.float32), np.zeros((1, 1), np.int64))
        with pytest.raises(ThimbleError, match="dense and ids are both None"):
            client.score_arrays()


def test_our_asynchronous_client_takes_one_array_alone(alone: Server, model: Model) -> None:
    async def found() -> Floats:
        dense, ids = model.batch.fed().get("dense"), model.batch.fed().get("ids")
        async with AsyncClient(alone.url, model.spec.name) as client:
            return await (client.score_arrays(dense=dense) if ids is None else client.score_arrays(ids=ids))

    np.testing.assert_allclose(asyncio.run(found()), model.scores, atol=1e-6)


def test_the_description_has_what_can_be_sent(alone: Server, model: Model) -> None:
    description = httpx.get(f"{alone.url}/openapi.json").json()
    for path in (f"/v1/models/{model.spec.name}/score", f"/v2/models/{model.spec.name}/infer"):
        content = description["paths"][path]["post"]["requestBody"]["content"]
        assert httpx.post(alone.url + path, json=content["application/json"]["example"]).status_code == 200
        reference = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert reference in description["components"]["schemas"]
    (entry,) = (it for it in httpx.get(f"{alone.url}/v1/models").json() if it["name"] == model.spec.name)
    assert entry["scheme"] == ("none" if model.tensor == "dense" else model.spec.embedding.scheme)
    state = httpx.get(f"{alone.url}/v1/models/{model.spec.name}").json()
    assert [tensor["name"] for tensor in state["interface"]["inputs"]] == [model.tensor]


def test_load_tests_prepare_rows_of_a_missing_value_alone(alone: Server) -> None:
    model, _ = served(alone.url, "field")
    for request in prepare(Traffic(scenario="single", encoding="tsv"), model)[:40]:
        answer = httpx.post(alone.url + request.path, content=request.body, headers=request.headers)
        assert answer.status_code == 200, answer.text
        assert problem(request, answer.content, model.tolerance) is None


def test_a_load_test_runs(alone: Server, tmp_path: Path) -> None:
    results = tmp_path / "load.json"
    options = ("--model", "ids", "--encoding", "binary", "--rate", "20", "--seconds", "0.5", "--ceiling", "1000")
    command = [sys.executable, "-c", "from thimble.loadtests.cli import main; main()", "run", alone.url, *options]
    done = subprocess.run([*command, "--results", str(results)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    run = Run.read(results)
    assert run.passed and [step.ok for step in run.steps] == [10]
