"""A model of several answers, from a file of clicks and conversions to its scores by every wire."""

import asyncio
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
import tritonclient.http as triton
from onnx import helper, numpy_helper
from tritonclient.utils import InferenceServerException

from testing.artifacts import write_artifact
from testing.conditions import until
from testing.samples import HEADS, small_spec, write_conversions
from testing.servers import running
from tests.service.releases.operator import ENV, metric, put, state
from thimble.client.client import AsyncClient, Client
from thimble.client.errors import ThimbleError
from thimble.client.first_score import _show
from thimble.export.artifact.agreement import onnx_scores, onnx_session
from thimble.export.cli import main
from thimble.export.clicks.golden import golden_batch
from thimble.export.scoring.evaluate import read_spec
from thimble.loadtests.traffic.answers import problem
from thimble.loadtests.traffic.requests import Traffic, prepare
from thimble.loadtests.traffic.served import served
from thimble.models.features import batch_from_values
from thimble.models.heads import Head
from thimble.models.spec import METADATA_KEY, ModelSpec, answering

NAMES = ["click", "conversion"]
SCORE, INFER = "/v1/models/m/score", "/v2/models/m/infer"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 is trained on clicks and conversions, and so is version 2, on others."""
    folder = tmp_path_factory.mktemp("answers")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        columns = ["--dense", "age,price", "--string", "city,shop", "--label", "click,conversion:click"]
        small = ["--memory", "20000", "--batch-size", "64", "--dense-arch", "8", "--over-arch", "8", "--epochs", "3"]
        for seed in (1, 2):
            clicks = write_conversions(folder / f"{seed}.csv", 2000, seed)
            commands = [
                ["train", str(clicks), *columns, *small, "--name", "m", "--run", f"run-{seed}", "--no-cache"],
                ["export", f"run-{seed}", "--repository", "models", "--version", str(seed)],
            ]
            for command in commands:
                patch.setattr(sys, "argv", ["thimble-export", *command])
                with pytest.raises(SystemExit) as ended:
                    main()
                assert not ended.value.code
    return folder / "models"


@pytest.fixture(scope="module")
def spec(repository: Path) -> ModelSpec:
    return read_spec(repository / "m/1/model.onnx")


@pytest.fixture(scope="module")
def golden(spec: ModelSpec) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Rows in the form of a request, and their scores."""
    assert spec.golden is not None and isinstance(spec.golden.scores, dict)
    return dict(spec.golden.features), spec.golden.scores


@pytest.fixture(scope="module")
def url(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    alone = tmp_path_factory.mktemp("alone")
    shutil.copytree(repository / "m/1", alone / "m/1")
    with running(alone) as server:
        yield server.url


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


def lines(features: dict[str, Any]) -> str:
    rows = zip(*features.values(), strict=True)
    return "\n".join("\t".join("" if value is None else str(value) for value in row) for row in rows)


def close(found: dict[str, Any], expected: dict[str, list[float]]) -> bool:
    return [*found] == [*expected] and all(np.allclose(found[name], expected[name], atol=1e-5) for name in expected)


def test_all_wires_give_the_scores_of_the_file(
    http: httpx.Client, url: str, spec: ModelSpec, golden: tuple[dict[str, Any], dict[str, list[float]]]
) -> None:
    features, expected = golden
    answer = http.post(SCORE, json={"features": features}).json()
    assert (answer["model"], answer["version"]) == ("m", 1) and close(answer["scores"], expected)
    assert (np.array(answer["scores"]["conversion"]) <= np.array(answer["scores"]["click"])).all()
    tsv = http.post(SCORE, content=lines(features), headers={"Content-Type": "text/tab-separated-values"}).json()
    assert close(tsv["scores"], expected)

    batch = golden_batch(spec, spec.golden.features) if spec.golden else None
    assert batch is not None
    with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        assert [output["name"] for output in client.get_model_metadata("m")["outputs"]] == NAMES
        assert [output["name"] for output in client.get_model_config("m")["output"]] == NAMES
        inputs = []
        for name, array, kind in (("dense", batch.dense, "FP32"), ("ids", batch.ids, "INT64")):
            inputs.append(triton.InferInput(name, array.shape, kind))
            inputs[-1].set_data_from_numpy(array)
        for binary in (True, False):
            outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in NAMES]
            result = client.infer("m", inputs, outputs=outputs)
            assert close({name: result.as_numpy(name) for name in NAMES}, expected)
        result = client.infer("m", inputs)  # all of them, as bytes
        assert close({name: result.as_numpy(name) for name in NAMES}, expected)
        mixed = [triton.InferRequestedOutput("conversion", binary_data=False), triton.InferRequestedOutput("click")]
        result = client.infer("m", inputs, outputs=mixed)
        assert close({name: result.as_numpy(name) for name in NAMES}, expected)
        alone = client.infer("m", inputs, outputs=[triton.InferRequestedOutput("conversion")])
        assert alone.as_numpy("click") is None and np.allclose(alone.as_numpy("conversion"), expected["conversion"])
        with pytest.raises(InferenceServerException, match="output 'score' is none of the model's: click, conversion"):
            client.infer("m", inputs, outputs=[triton.InferRequestedOutput("score")])


def test_outputs_pick_answers(http: httpx.Client) -> None:
    row = {"city": "city 3", "age": [30, 40]}
    whole = http.post(SCORE, json={"features": row}).json()["scores"]
    for picked in (["click"], ["conversion"], ["conversion", "click"]):
        told = http.post(SCORE, json={"features": row, "outputs": picked}).json()["scores"]
        assert [*told] == picked and told == {name: whole[name] for name in picked}
    assert http.post(SCORE, json={"features": row, "outputs": None}).json()["scores"] == whole
    for outputs, sentence in [
        (["score"], "output 'score' is none of the model's: click, conversion"),
        ([1], "output 1 is none of the model's: click, conversion"),
        (["click", "click"], "output click is there twice"),
        ([], "outputs must be a list of some of click, conversion"),
        ("click", "outputs must be a list of some of click, conversion"),
        ({"click": True}, "outputs must be a list of some of click, conversion"),
    ]:
        refused = http.post(SCORE, json={"features": row, "outputs": outputs})
        assert (refused.status_code, refused.json()) == (400, {"error": sentence})
    one = {"name": "ids", "datatype": "BYTES", "shape": [1, 2], "data": ["city 3", ""]}
    other = {"name": "dense", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    for asked, sentence in [
        ([{"name": "click"}] * 2, "output click is there twice"),
        ([{"name": "click"}] * 3, "outputs must be a list of at most 2: click, conversion"),
        (["click"], "outputs must be a list of at most 2: click, conversion"),
    ]:
        refused = http.post(INFER, json={"inputs": [one, other], "outputs": asked})
        assert (refused.status_code, refused.json()) == (400, {"error": sentence})


def test_the_client_gives_arrays_by_name(
    url: str, spec: ModelSpec, golden: tuple[dict[str, Any], dict[str, list[float]]]
) -> None:
    features, expected = golden
    batch = golden_batch(spec, features)
    with Client(url) as client:
        assert close(client.score(features, outputs="all"), expected)
        assert close(client.score_arrays(batch.dense, batch.ids, outputs="all"), expected)
        for told in (
            client.score(features, outputs=["conversion"]),
            client.score_arrays(batch.dense, batch.ids, outputs=["conversion"]),
        ):
            assert close(told, {"conversion": expected["conversion"]})
        with pytest.raises(ThimbleError, match="the model has several answers, click, conversion: name some"):
            client.score(features)
        with pytest.raises(ThimbleError, match="the model has several answers, click, conversion: name some"):
            client.score_arrays(batch.dense, batch.ids)
        with pytest.raises(ThimbleError, match="output 'score' is none of the model's"):
            client.score(features, outputs=["score"])
        with pytest.raises(ThimbleError, match="outputs is 'click', neither a list of names nor 'all'"):
            client.score(features, outputs="click")

    async def asked() -> tuple[dict[str, Any], dict[str, Any]]:
        async with AsyncClient(url) as client:
            by_name = await client.score(features, outputs=["click"])
            return by_name, await client.score_arrays(batch.dense, batch.ids, outputs="all")

    by_name, arrays = asyncio.run(asked())
    assert close(by_name, {"click": expected["click"]}) and close(arrays, expected)


def test_many_rows_come_back_in_their_order(http: httpx.Client) -> None:
    """More than a batch: they are scored in pieces."""
    ages = [age % 60 + 18 for age in range(500)]
    scores = http.post(SCORE, json={"features": {"age": ages, "city": "city 3"}}).json()["scores"]
    for name in NAMES:
        for row in (0, 63, 64, 499):
            alone = http.post(SCORE, json={"features": {"age": ages[row], "city": "city 3"}}).json()["scores"]
            assert scores[name][row] == pytest.approx(alone[name][0], abs=1e-6)


def test_what_is_described_is_what_is_answered(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    document = http.get("/openapi.json").json()
    operation = document["paths"][SCORE]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    example = operation["responses"]["200"]["content"]["application/json"]["example"]
    answer = http.post(SCORE, json=content["example"]).json()
    assert close(answer["scores"], example["scores"])
    schema = document["components"]["schemas"]
    assert [*schema["Scores_m_1"]["properties"]] == NAMES
    assert schema["ScoreRequest_m_1"]["properties"]["outputs"]["anyOf"][0]["items"]["enum"] == NAMES
    example = document["paths"][INFER]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    assert [output["name"] for output in example["outputs"]] == NAMES
    (model,) = http.get("/v1/models").json()
    assert model["outputs"] == NAMES and model["metrics"]["others"]["conversion"]["rows"] == model["metrics"]["rows"]
    assert http.get("/v1/models/m").json()["interface"]["outputs"] == NAMES
    _show(str(http.base_url), -1)
    assert "first score: click 0." in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["json", "tsv", "binary"])
def test_load_tests_check_all_answers(http: httpx.Client, url: str, encoding: Any) -> None:
    model, _ = served(url)
    assert model.outputs == NAMES
    requests = prepare(Traffic(scenario="batch", encoding=encoding, rows=3), model)
    for request in requests[:3]:
        answer = http.post(request.path, content=request.body, headers=request.headers)
        assert problem(request, answer.content, model.tolerance) is None
    assert problem(requests[0]._replace(expected=1.5), answer.content, 0.1) is not None
    assert problem(requests[1]._replace(outputs=1), answer.content, 0.1) is not None


def test_a_version_of_other_answers_is_another_interface(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "m/1", tmp_path / "m/1")
    with running(tmp_path, env=ENV) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        model = onnx.load(repository / "m/2/model.onnx")
        (tmp_path / "m/3").mkdir()
        (prop,) = (prop for prop in model.metadata_props if prop.key == METADATA_KEY)
        prop.value = prop.value.replace('"conversion"', '"purchase"')
        for output in model.graph.output:
            output.name = "purchase" if output.name == "conversion" else output.name
        for node in model.graph.node:
            node.output[:] = ["purchase" if name == "conversion" else name for name in node.output]
        onnx.save_model(model, tmp_path / "m/3/model.onnx")
        for role in ({"canary": {"version": 3, "weight": 0.5}}, {"shadow": {"version": 3}}):
            refused = put(http, **role)
            assert refused.status_code == 409, refused.text
            assert (
                "version 3 of m gives other answers than version 1, which is live beside it "
                "(answers: click, purchase, and not click, conversion)"
            ) in refused.json()["error"]
        assert put(http, live=3).status_code == 409
        assert put(http, live=3, interface="changes").status_code == 200
        assert [*http.post(SCORE, json={"features": {}}).json()["scores"]] == ["click", "purchase"]

        shutil.copytree(repository / "m/2", tmp_path / "m/2")
        assert put(http, live=1, interface="changes", canary={"version": 2, "weight": 0.5}).status_code == 200
        told = [http.post(SCORE, json={"features": {"age": 30}}).json() for _ in range(40)]
        assert {answer["version"] for answer in told} == {1, 2}
        assert all([*answer["scores"]] == NAMES for answer in told)


def test_a_shadow_is_compared_by_the_answer_that_differs_most(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "m/1", tmp_path / "m/1")
    shutil.copytree(repository / "m/2", tmp_path / "m/2")
    (tmp_path / "m/release.json").write_text('{"live": 1}')
    with running(tmp_path, env=ENV) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        assert put(http, shadow={"version": 2}).status_code == 200, state(http)
        rows: dict[str, list[int | str]] = {"age": [30, 40, 50], "city": ["city 1", "city 2", "city 3"]}
        live = http.post(SCORE, json={"features": rows}).json()["scores"]
        until(lambda: metric(http, "thimble_shadow_rows_total", version="2", outcome="scored") == 3)
        found = metric(http, "thimble_shadow_difference_total")
    path = repository / "m/2/model.onnx"
    spec = read_spec(path)
    batch = batch_from_values(spec, [rows.get(name, ["", "", ""]) for name in spec.feature_names])
    off = np.abs(onnx_scores(onnx_session(str(path)), batch) - np.stack([live[name] for name in NAMES], axis=1))
    assert found == pytest.approx(off.max(axis=1).sum(), abs=1e-5) and found > 0


def test_a_row_without_a_number_for_any_answer_has_no_scores(tmp_path: Path) -> None:
    spec = answering(small_spec(), HEADS)
    path = write_artifact(spec, tmp_path, "m", 1)
    model = onnx.load(path)
    for node in model.graph.node:
        node.output[:] = ["before" if name == "conversion" else name for name in node.output]
    constants = {"first": np.array(0), "bound": np.array(1000, np.float32), "none": np.array(np.nan, np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.node.extend(
        [
            helper.make_node("Gather", ["dense", "first"], ["first_number"], axis=1),
            helper.make_node("Greater", ["first_number", "bound"], ["is_spoiled"]),
            helper.make_node("Where", ["is_spoiled", "none", "before"], ["conversion"]),
        ]
    )
    onnx.save_model(model, path)
    with running(tmp_path) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        assert http.post(SCORE, json={"features": {"d0": 1}}).status_code == 200
        spoiled = http.post(SCORE, json={"features": {"d0": [1, 2000]}})
        assert (spoiled.status_code, spoiled.json()["error"]) == (500, "the model gave a score that is not a number")


def test_a_file_whose_outputs_are_not_its_answers_is_refused(tmp_path: Path) -> None:
    for name, heads in (("m", HEADS), ("n", (*HEADS, Head(name="like")))):
        write_artifact(answering(small_spec(), heads), tmp_path, name, 1)
    model = onnx.load(tmp_path / "n/1/model.onnx")
    del model.graph.output[2]
    onnx.save_model(model, tmp_path / "n/1/model.onnx")
    with running(tmp_path) as server:
        server.wait_for_line(
            r"its outputs are click FLOAT \[batch\] and conversion FLOAT \[batch\], "
            r"but must be click FLOAT \[batch\] and conversion FLOAT \[batch\] and like FLOAT \[batch\]"
        )


def test_a_model_of_one_answer_may_be_asked_for_it_by_name(server: Any) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        plain = http.post("/v1/score", json={"features": {"I1": 3}}).json()
        named = http.post("/v1/score", json={"features": {"I1": 3}, "outputs": ["score"]}).json()
        assert plain == named and isinstance(plain["scores"], list)
        refused = http.post("/v1/score", json={"features": {"I1": 3}, "outputs": ["click"]})
        assert refused.status_code == 400 and "output 'click' is none of the model's: score" in refused.text
    with Client(server.url) as client:
        assert client.score({"I1": 3}, outputs="all")["score"].tolist() == client.score({"I1": 3}).tolist()
