"""A model with multi-valued features: asked in every form, described, released, and sent what no bag is."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import tritonclient.http as triton

from testing.artifacts import write_artifact
from testing.conditions import until
from testing.samples import small_spec, with_bags
from testing.servers import Server, running
from tests.service.http.test_schemathesis import fuzz
from tests.service.releases.operator import ENV, KEY, metric, put, state
from thimble.client import AsyncClient, Client, ThimbleError
from thimble.export.scoring.evaluate import read_spec
from thimble.loadtests.traffic.answers import problem
from thimble.loadtests.traffic.requests import Traffic, prepare
from thimble.loadtests.traffic.served import served
from thimble.models.bags import Bag
from thimble.models.features import Batch, batch_from_values
from thimble.models.hashing import Floats
from thimble.models.spec import ModelSpec

# f0 and f4 have 3 values at most, the first of them, f1 one, f2 4, the last, f3 2; f2's are separated by semicolons
SPEC = with_bags(small_spec(dense=2, kinds=("string", "int", "int", "hex", "string")))
SLOTS = 3 + 1 + 4 + 2 + 3
TEXT = {"Content-Type": "text/tab-separated-values"}
MANY = 1_000_000


class Rows(NamedTuple):
    """Rows in every form in which they are sent."""

    features: dict[str, list[Any]]
    texts: dict[str, list[Any]]
    batch: Batch

    @classmethod
    def of(cls, spec: ModelSpec) -> "Rows":
        assert spec.golden is not None
        features = spec.golden.features
        texts = {it.name: [text_of(it.bag, value) for value in features[it.name]] for it in spec.features}
        return cls(features, texts, batch_from_values(spec, [features[name] for name in spec.feature_names]))

    @property
    def lines(self) -> bytes:
        rows = zip(*self.texts.values(), strict=True)
        return "".join("\t".join("" if it is None else str(it) for it in row) + "\n" for row in rows).encode()


def text_of(bag: Any, value: Any) -> Any:
    return bag.separator.join(map(str, value)) if isinstance(value, list) else value


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 2 has other weights, and 3 those of 1."""
    folder = tmp_path_factory.mktemp("bags")
    for version, seed in ((1, 0), (2, 1), (3, 0)):
        write_artifact(SPEC, folder, "m", version, seed=seed)
    (folder / "m/release.json").write_text('{"live": 1}')
    return folder


@pytest.fixture(scope="module")
def bags(repository: Path) -> Iterator[Server]:
    with running(repository, env=ENV) as server:
        yield server


@pytest.fixture
def client(bags: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=bags.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def spec(repository: Path) -> ModelSpec:
    return read_spec(repository / "m/1/model.onnx")


@pytest.fixture(scope="module")
def rows(spec: ModelSpec) -> Rows:
    return Rows.of(spec)


def by_json(client: httpx.Client, path: str, features: Any) -> Floats:
    return scores(client.post(f"{path}/score", json={"features": features}))


def scores(answer: httpx.Response) -> Floats:
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["scores"], np.float32)


def by_tensors(client: httpx.Client, path: str, batch: Batch, ids: Any, datatype: str = "INT64") -> Floats:
    dense = [None if np.isnan(value) else value for value in batch.dense.ravel().tolist()]
    inputs = [
        {"name": "dense", "datatype": "FP32", "shape": batch.dense.shape, "data": dense},
        {"name": "ids", "datatype": datatype, "shape": [len(ids), len(ids[0])], "data": ids},
    ]
    answer = client.post(f"{path.replace('v1', 'v2')}/infer", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["outputs"][0]["data"], np.float32)


def by_triton(client: httpx.Client, version: int, batch: Batch) -> Floats:
    with triton.InferenceServerClient(str(client.base_url).removeprefix("http://")) as triton_client:
        tensors = []
        for name, array, datatype in (("dense", batch.dense, "FP32"), ("ids", batch.ids, "INT64")):
            tensors.append(triton.InferInput(name, list(array.shape), datatype))
            tensors[-1].set_data_from_numpy(array)
        found: Floats = triton_client.infer("m", tensors, str(version)).as_numpy("score")
        return found


def by_client(client: httpx.Client, version: int, features: Any) -> Floats:
    with Client(str(client.base_url), "m", version) as ours:
        return ours.score(features)


def by_arrays(client: httpx.Client, version: int, batch: Batch) -> Floats:
    async def found() -> Floats:
        async with AsyncClient(str(client.base_url), "m", version) as ours:
            return await ours.score_arrays(batch.dense, batch.ids)

    return asyncio.run(found())


def in_every_form(client: httpx.Client, version: int, rows: Rows) -> Iterator[tuple[str, Floats]]:
    """The scores of a version, by the form in which it was asked."""
    path = f"/v1/models/m/versions/{version}"
    whole = [[str(row[name] or "") for name in row if name.startswith("f")] for row in in_rows(rows.texts)]
    yield "lists", by_json(client, path, rows.features)
    yield "texts", by_json(client, path, rows.texts)
    one_by_one = [
        {name: {"bag": value} if isinstance(value, list) else value for name, value in row.items()}
        for row in in_rows(rows.features)
    ]
    yield "one by one", np.concatenate([by_json(client, path, row) for row in one_by_one])
    yield "lines", scores(client.post(f"{path}/score", content=rows.lines, headers=TEXT))
    yield "ids in JSON", by_tensors(client, path, rows.batch, rows.batch.ids.tolist())
    yield "texts in JSON", by_tensors(client, path, rows.batch, whole, "BYTES")
    yield "values in JSON", by_tensors(client, path, rows.batch, [*map(divided, whole)], "BYTES")
    yield "binary ids", by_triton(client, version, rows.batch)
    yield "our client", by_client(client, version, rows.features)
    for frame in (pd.DataFrame, pl.DataFrame, pa.table):
        yield frame.__module__, by_client(client, version, frame(rows.features))
    yield "our client's arrays", by_arrays(client, version, rows.batch)


def in_rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def divided(texts: list[str]) -> list[str]:
    """A row with an element for every value that there is room for."""
    found = []
    for text, bag in zip(texts, SPEC.bags, strict=True):
        values = text.split(bag.separator) if bag else [text]
        found += values + [""] * ((bag.values if bag else 1) - len(values))
    return found


def test_live_canary_and_shadow_give_the_same_scores_in_every_form(
    client: httpx.Client, repository: Path, rows: Rows
) -> None:
    found = put(client, live=1, canary={"version": 2, "weight": 0.5}, shadow={"version": 3}).json()
    assert (found["live"], found["canary"]["version"], found["shadow"]["running"]) == (1, 2, True)
    expected = {}
    for version in (1, 2):
        own = read_spec(repository / f"m/{version}/model.onnx")
        assert own.golden is not None
        np.testing.assert_allclose(
            by_json(client, f"/v1/models/m/versions/{version}", own.golden.features), own.golden.table, atol=1e-4
        )
        expected[version] = by_json(client, f"/v1/models/m/versions/{version}", rows.features)
        for form, values in in_every_form(client, version, rows):
            np.testing.assert_allclose(values, expected[version], atol=1e-6, err_msg=form)
    assert np.abs(expected[1] - expected[2]).max() > 1e-3
    answered = set()
    for key in range(40):
        headers = {"Routing-Key": f"user-{key}"}
        answer = client.post("/v1/models/m/score", json={"features": rows.features}, headers=headers)
        answered.add(answer.json()["version"])
        np.testing.assert_allclose(scores(answer), expected[answer.json()["version"]], atol=1e-6)
    assert answered == {1, 2}
    until(lambda: metric(client, "thimble_shadow_rows_total", version="3", live="1", outcome="scored") > 100)
    assert metric(client, "thimble_shadow_diverged_rows_total", version="3", live="1") == 0
    assert put(client, live=2).status_code == 200 and state(client)["live"] == 2
    np.testing.assert_allclose(by_json(client, "/v1/models/m", rows.features), expected[2], atol=1e-6)
    assert client.post("/v1/models/m/rollback", headers=KEY).status_code == 200
    np.testing.assert_allclose(by_json(client, "/v1/models/m", rows.features), expected[1], atol=1e-6)


def test_what_is_cut_is_counted_by_feature_whatever_the_form_and_the_worker(repository: Path) -> None:
    with running(repository, "--workers", "2") as server:
        for _ in range(4):  # connections go to either
            with httpx.Client(base_url=server.url, timeout=60) as client:
                by_json(client, "/v1", {"f0": ["a|b|c|d", ["a", "b"]], "f2": {"bag": [1, 2, 3, 4, 5, 6]}})
                by_json(client, "/v1", {"f0": "a|b|c|d|e"})
                line = b"1\t2\ta|b|c|d\t1\t1;2\tff\t\n"
                assert client.post("/v1/score", content=line, headers=TEXT).status_code == 200
                by_tensors(client, "/v1/models/m", missing(1), [["a|b|c|d", "", "", "", ""]], "BYTES")
                refused = client.post("/v1/score", json={"features": {"f0": "a|b|c|d", "f3": "zz"}})
                assert refused.status_code == 400
        with httpx.Client(base_url=server.url, timeout=60) as client:
            name = "thimble_cut_values_total"
            assert metric(client, name, model="m", version="1", feature="f0") == 4 * (1 + 2 + 1 + 1)
            assert metric(client, name, feature="f2") == 4 * 2
            assert metric(client, name) == 4 * 7


def missing(count: int) -> Batch:
    return Batch.missing(SPEC.inputs, count)


def test_of_a_model_whose_bags_were_never_cut_nothing_is_counted(repository: Path) -> None:
    with running(repository) as server, httpx.Client(base_url=server.url) as client:
        by_json(client, "/v1", {"f0": "a|b|c"})
        assert "thimble_cut_values_total{" not in client.get("/metrics").text


def test_models_describe_their_bags(client: httpx.Client) -> None:
    features = next(it for it in client.get("/v1/models").json() if it["version"] == 1)["features"]
    assert features[2] == {
        "name": "f0",
        "kind": "string",
        "bag": {"values": 3, "pooling": "mean", "keep": "first", "separator": "|"},
    }
    assert features[3] == {"name": "f1", "kind": "int"}
    dense, ids = client.get("/v1/models/m").json()["interface"]["inputs"]
    assert dense["features"] == features[:2] and ids["features"] == features[2:]
    (_, tensor) = client.get("/v2/models/m").json()["inputs"]
    assert tensor == {"name": "ids", "datatype": "INT64", "shape": [-1, SLOTS]}
    (_, configured) = client.get("/v2/models/m/config").json()["input"]
    assert configured["dims"] == [SLOTS]


def test_the_examples_of_the_description_are_scored(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    content = paths["/v1/models/m/score"]["post"]["requestBody"]["content"]
    answer = paths["/v1/models/m/score"]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    example, lines = content["application/json"]["example"], content["text/tab-separated-values"]["example"]
    for asked in ({"json": example}, {"content": lines.encode(), "headers": TEXT}):
        assert scores(client.post("/v1/models/m/score", **asked)) == pytest.approx(answer["scores"], abs=1e-5)
    infer = paths["/v2/models/m/infer"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert client.post("/v2/models/m/infer", json=infer).status_code == 200
    assert metric(client, "thimble_cut_values_total") == 0


def test_generated_requests_are_answered_as_described(repository: Path, tmp_path: Path) -> None:
    with running(repository) as server:
        fuzz(server, "--max-examples", "20", "--exclude-path-regex", "/versions/")


@pytest.mark.parametrize("bags_of", ["any", "full"])
@pytest.mark.parametrize("encoding", ["json", "tsv", "binary"])
@pytest.mark.parametrize("scenario", ["single", "batch", "context"])
def test_load_tests_ask_with_bags(client: httpx.Client, scenario: Any, encoding: Any, bags_of: Any) -> None:
    model, _ = served(str(client.base_url), "m")
    for request in prepare(Traffic(scenario=scenario, encoding=encoding, rows=5, bags=bags_of), model)[:3]:
        answer = client.post(request.path, content=request.body, headers=request.headers)
        assert answer.status_code == 200, answer.text
        assert problem(request, answer.content, model.tolerance) is None


def features(**given: Any) -> dict[str, Any]:
    return {"json": {"features": given}}


def raw(value: str) -> dict[str, Any]:
    return {"content": f'{{"features": {{"f0": {value}}}}}'.encode()}


def lines(bag: str) -> dict[str, Any]:
    return {"content": f"1\t2\t{bag}\t1\t1\tff\t\n".encode(), "headers": TEXT}


HOSTILE: dict[str, tuple[Callable[[], dict[str, Any]], int, str]] = {
    "a text of a million values": (lambda: features(f0="a|" * MANY), 413, "f0: 1000001 values are more than"),
    "a list of a million values": (lambda: features(f0=[["a"] * MANY]), 413, "values are more than a request has"),
    "a shared list of a million": (lambda: features(f2={"bag": [1] * MANY}), 413, "values are more than a request has"),
    "a million lists": (lambda: features(f0=[[[]] * MANY]), 413, "are more than a request has"),
    "a million separators": (lambda: features(f0="|" * MANY), 413, "f0: 1000001 values are more than"),
    "half a million nulls": (
        lambda: raw(f"[[{'null,' * (MANY // 2)}null]]"),
        413,
        "values are more than a request has",
    ),
    "a line of a million values": (lambda: lines("a|" * MANY), 413, "f0: 1000001 values are more than"),
    "a line of a million separators": (lambda: lines("|" * MANY), 413, "f0: 1000001 values are more than"),
    "nested": (lambda: features(f0=[["a", ["b"]]]), 400, "f0: a list inside a bag, which is a list of values"),
    "nested very deep": (lambda: raw("[" * 900 + "]" * 900), 400, "f0: a list inside a bag"),
    "nested without end": (lambda: raw("[" * 30_000), 400, "invalid JSON"),
    "no rows": (lambda: features(f0=[]), 400, "f0 is an empty list: 0 rows"),
    "a bag for a single-valued feature": (lambda: features(f1=[[1, 2]]), 400, "f1: a list is not an integer"),
    "an object": (lambda: features(f0={"a": 1}), 400, "f0: unknown key 'a'"),
    "weights": (lambda: features(f0={"bag": ["a"], "weights": [1]}), 400, "f0: weighted bags are not supported"),
    "NaN": (lambda: raw('["a", NaN]'), 400, "invalid JSON: NaN"),
    "a float": (lambda: features(f2=[[1.5]]), 400, "f2: 1.5 is not an integer (index 0)"),
    "a huge float": (lambda: features(f2=[[1e300]]), 400, "f2: id an integer of 997 bits is not in the range"),
    "a boolean": (lambda: features(f2=[[1], [True]]), 400, "f2: True is not an integer (index 1)"),
    "a number among texts": (lambda: features(f0=[["a", 1]]), 400, "f0: 1 is not a string (index 0)"),
    "a huge text": (lambda: features(f3=[["f" * MANY]]), 400, "f3: 'ffffffff"),
    "a huge integer": (lambda: raw(f"[[{'1' * 5000}]]"), 400, ""),
    "wide text": (lambda: {"content": b'{"features": {"f0": [["\xff|a"]]}}'}, 400, "invalid JSON"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_bag_is_gets_a_sentence_and_others_their_scores(client: httpx.Client, rows: Rows, name: str) -> None:
    make, status, sentence = HOSTILE[name]
    before = by_json(client, "/v1/models/m/versions/1", rows.features)
    answer = client.post("/v1/models/m/versions/1/score", **make())
    assert answer.status_code == status, answer.text
    said = answer.json()["error"]
    assert sentence in said and "\n" not in said and len(said) < 200
    np.testing.assert_array_equal(by_json(client, "/v1/models/m/versions/1", rows.features), before)


def test_separators_alone_are_empty_bags_and_a_huge_text_is_a_value(client: httpx.Client) -> None:
    path = "/v1/models/m/versions/1"
    empty = by_json(client, path, {})
    bags: list[Any] = ["|", "|" * 1000, " | | ", [["", None]], {"bag": []}]
    for bag in bags:
        np.testing.assert_array_equal(by_json(client, path, {"f0": bag}), empty)
    assert by_json(client, path, {"f0": "a" * MANY}).shape == (1,)


def test_the_client_says_what_is_wrong_with_a_bag_in_the_words_of_the_server(client: httpx.Client) -> None:
    with Client(str(client.base_url), "m") as ours:
        for column, said in (
            ([["a", ["b"]]], "f0: a list inside a bag, which is a list of values (index 0)"),
            ({"bag": ["a"], "weights": [1]}, "f0: weighted bags are not supported"),
        ):
            with pytest.raises(ThimbleError) as caught:
                ours.score({"f0": column})
            assert (caught.value.status, caught.value.message) == (400, said)
        with pytest.raises(ThimbleError, match=rf"ids: shape \[1, 5\] is not \[rows, {SLOTS}\]"):
            ours.score_arrays(np.zeros((1, 2), np.float32), np.zeros((1, 5), np.int64))


def test_rows_whose_bags_weigh_more_than_a_body_may_are_refused(tmp_path: Path) -> None:
    spec = small_spec(dense=1, kinds=("string",))
    field = spec.fields[0].model_copy(update={"bag": Bag(values=1024, pooling="sum")})
    write_artifact(spec.model_copy(update={"fields": [field]}), tmp_path, "wide", 1)
    limit = (1 << 20) // (8 * 1024)
    with running(tmp_path, "--max-body-bytes", str(1 << 20)) as server, httpx.Client(base_url=server.url) as client:
        answer = client.post("/v1/score", json={"features": {"d0": [1] * (limit + 1)}})
        assert answer.status_code == 413
        assert answer.json()["error"] == f"{limit + 1} rows are more than the limit of {limit} in one request"
        assert by_json(client, "/v1", {"d0": [1] * limit}).shape == (limit,)
        assert client.get("/v2/models/wide/config").json()["max_batch_size"] == limit
        assert json.loads(client.get("/v2/models/wide").text)["inputs"][1]["shape"] == [-1, 1024]
