import gzip
import json
import re
import socket
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from testing.artifacts import random_features
from testing.data import CRITEO_LINES, needs
from testing.servers import Server, running
from thimble.export.clicks.files import FileClicks
from thimble.export.scoring.evaluate import evaluate_artifact
from thimble.models.spec import ModelSpec

TSV = {"Content-Type": "text/tab-separated-values"}


def golden(spec: ModelSpec) -> tuple[dict[str, Any], list[float]]:
    assert spec.golden is not None
    return dict(spec.golden.features), spec.golden.by_output["score"]


def lines(features: dict[str, Any], spec: ModelSpec) -> str:
    columns = [["" if v is None else str(v) for v in features[name]] for name in spec.feature_names]
    return "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True))


def scores(response: httpx.Response) -> list[float]:
    assert response.status_code == 200, response.text
    found: list[float] = response.json()["scores"]
    return found


def test_golden_rows_score_as_written(client: httpx.Client, criteo: ModelSpec) -> None:
    features, expected = golden(criteo)
    response = client.post("/v1/score", json={"features": features})
    assert response.json() == {"model": "criteo", "version": 1, "scores": pytest.approx(expected, abs=1e-6)}


def test_all_paths_and_forms_agree(client: httpx.Client, criteo: ModelSpec) -> None:
    features, expected = golden(criteo)
    for path in ("/v1/score", "/v1/models/criteo/score", "/v1/models/criteo/versions/1/score"):
        assert scores(client.post(path, json={"features": features})) == pytest.approx(expected, abs=1e-6)
    by_lines = client.post("/v1/score", content=lines(features, criteo), headers=TSV)
    assert scores(by_lines) == pytest.approx(expected, abs=1e-6)
    for row, score in enumerate(expected):
        one = {name: column[row] for name, column in features.items()}
        assert scores(client.post("/v1/score", json={"features": one})) == pytest.approx([score], abs=1e-6)


def test_one_context_with_many_candidates(client: httpx.Client, criteo: ModelSpec) -> None:
    features, _ = golden(criteo)
    context = {name: column[0] for name, column in features.items()}
    candidates = [f"{i:08x}" for i in range(300)]
    together = scores(client.post("/v1/score", json={"features": {**context, "C1": candidates}}))
    assert len(together) == 300 and len(set(together)) > 250
    alone = scores(client.post("/v1/score", json={"features": {**context, "C1": candidates[123]}}))
    assert alone == pytest.approx([together[123]], abs=1e-6)


@needs(CRITEO_LINES)
def test_real_lines_score_alike_in_every_form_and_as_the_trainer_says(
    client: httpx.Client, criteo: ModelSpec, criteo_artifact: Path
) -> None:
    content = CRITEO_LINES.read_bytes()
    by_file = scores(client.post("/v1/score", content=content, headers=TSV))
    rows = [line.split("\t") for line in content.decode().splitlines()]
    columns: dict[str, list[Any]] = {}
    for i, name in enumerate(criteo.feature_names):
        number = name.startswith("I")
        columns[name] = [(float(row[i + 1]) if number else row[i + 1]) if row[i + 1] else None for row in rows]
    by_json = scores(client.post("/v1/score", json={"features": columns}))
    unlabelled = "\n".join("\t".join(row[1:]) for row in rows)
    by_unlabelled = scores(client.post("/v1/score", content=unlabelled, headers=TSV))
    by_trainer = evaluate_artifact(criteo_artifact, FileClicks([CRITEO_LINES], criteo)).scores
    assert len(by_file) == 600 and len(set(by_file)) > 500
    np.testing.assert_allclose(by_json, by_file, atol=1e-6)
    np.testing.assert_allclose(by_unlabelled, by_file, atol=1e-6)
    np.testing.assert_allclose(by_file, by_trainer, atol=1e-5)


def test_another_schema_is_served_too(small: ModelSpec, small_artifact: Path) -> None:
    features, expected = golden(small)
    with running(small_artifact) as server:
        by_json = httpx.post(f"{server.url}/v1/score", json={"features": features})
        by_lines = httpx.post(f"{server.url}/v1/score", content=lines(features, small).encode(), headers=TSV)
    assert scores(by_json) == pytest.approx(expected, abs=1e-6)
    assert scores(by_lines) == pytest.approx(expected, abs=1e-6)
    assert by_json.json()["model"] == "small"


def test_concurrent_requests_get_their_own_scores(client: httpx.Client, criteo: ModelSpec) -> None:
    requests = [random_features(criteo, 1 + seed % 7, seed) for seed in range(60)]
    expected = [scores(client.post("/v1/score", json={"features": features})) for features in requests]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda features: scores(client.post("/v1/score", json={"features": features})), requests))
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_the_documented_example_works_when_sent(client: httpx.Client, criteo: ModelSpec) -> None:
    description = client.get("/openapi.json").json()
    assert set(description["paths"]) >= {"/v1/score", "/v1/models/criteo/score", "/v1/models/criteo/versions/1/score"}
    for path, item in description["paths"].items():
        if not path.endswith("/score"):
            continue
        content = item["post"]["requestBody"]["content"]
        answer = item["post"]["responses"]["200"]["content"]["application/json"]["example"]
        for content_type, media in content.items():
            example = media["example"]
            body = example if isinstance(example, str) else json.dumps(example)
            response = client.post(path, content=body, headers={"Content-Type": content_type})
            assert scores(response) == pytest.approx(answer["scores"], abs=1e-5)


def test_the_documented_inference_works_when_sent(client: httpx.Client) -> None:
    for path, item in client.get("/openapi.json").json()["paths"].items():
        if path.endswith("/infer"):
            example = item["post"]["requestBody"]["content"]["application/json"]["example"]
            expected = item["post"]["responses"]["200"]["content"]["application/json"]["example"]
            found = client.post(path, json=example).json()
            assert found["outputs"][0].pop("data") == pytest.approx(expected["outputs"][0].pop("data"), abs=1e-5)
            assert found == expected


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_bodies_may_be_compressed(client: httpx.Client, criteo: ModelSpec, name: str) -> None:
    features, expected = golden(criteo)
    body = json.dumps({"features": features}).encode()
    content = gzip.compress(body) if name == "gzip" else zlib.compress(body)
    headers = {"Content-Encoding": name, "Content-Type": "application/json"}
    response = client.post("/v1/score", content=content, headers=headers)
    assert scores(response) == pytest.approx(expected, abs=1e-6)


def test_large_answers_are_compressed_for_those_who_ask(client: httpx.Client) -> None:
    body = {"features": {"I1": list(range(500))}}
    plain = client.post("/v1/score", json=body, headers={"Accept-Encoding": "identity"})
    for name in ("gzip", "deflate"):
        packed = client.post("/v1/score", json=body, headers={"Accept-Encoding": name})
        assert packed.headers["content-encoding"] == name and packed.json() == plain.json()
        assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    small = client.post("/v1/score", json={"features": {"I1": 1}}, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers


def test_a_timeout_is_heeded(client: httpx.Client, criteo: ModelSpec) -> None:
    features, expected = golden(criteo)
    patient = client.post("/v1/score", json={"features": features}, headers={"Timeout-Ms": "20000"})
    assert scores(patient) == pytest.approx(expected, abs=1e-6)
    for value in ("0", "-1", "1.5", "soon", "9" * 50):
        response = client.post("/v1/score", json={"features": features}, headers={"Timeout-Ms": value})
        assert response.status_code == 400 and "Timeout-Ms" in response.json()["error"]


def test_the_documentation_needs_no_other_host(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200 and "swagger" in page.text
    assert "//" not in page.text


def test_models_are_described(client: httpx.Client, criteo: ModelSpec, criteo_artifact: Path) -> None:
    (model,) = client.get("/v1/models").json()
    assert model["provider"] == "CPUExecutionProvider"
    assert model["file_bytes"] == criteo_artifact.stat().st_size
    assert model["full_table_bytes"] == criteo.full_table_bytes
    assert [feature["name"] for feature in model["features"]] == criteo.feature_names


def test_health(client: httpx.Client) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status", "culprit"),
    [
        ("POST", "/v1/score", b"", {}, 400, "the body is empty"),
        ("POST", "/v1/score", b"{", {}, 400, "invalid JSON"),
        ("POST", "/v1/score", b'{"features": {"I99": 1}}', {}, 400, "'I99'"),
        ("POST", "/v1/score", b'{"features": {"C1": "xyz"}}', {}, 400, "C1: 'xyz'"),
        ("POST", "/v1/score", b"1\t2\n", TSV, 400, "line 1: 2 columns"),
        ("POST", "/v1/score", b'{"features": {"I1": [%s]}}' % b",".join([b"1"] * 1001), {}, 413, "1001 rows"),
        ("POST", "/v1/score", b" " * ((1 << 20) + 1), {}, 413, "limit of 1048576 bytes"),
        ("POST", "/v1/score", b"x", {"Content-Type": "text/csv"}, 415, "'text/csv'"),
        ("POST", "/v1/score", b"{}", {"Content-Encoding": "br"}, 415, "'br' is not gzip or deflate"),
        ("GET", "/v1/score", b"", {}, 405, "GET is not allowed at /v1/score, only POST"),
        ("DELETE", "/v1/models", b"", {}, 405, "DELETE is not allowed"),
        ("GET", "/nothing", b"", {}, 404, "/nothing"),
        ("POST", "/v1/models/other/score", b"{}", {}, 404, "no model 'other' is served; there is criteo version 1"),
        ("POST", "/v1/models/criteo/versions/2/score", b"{}", {}, 404, "version 2 of criteo is not served"),
        ("POST", "/v1/models/criteo/versions/99999999999999999999/score", b"{}", {}, 404, "version 9999"),
        ("POST", "/v1/models/criteo/versions/01/score", b"{}", {}, 404, "version 01 of criteo is not served"),
        ("POST", "/v1/models/criteo/versions/" + "9" * 5000 + "/score", b"{}", {}, 404, "version 9999"),
        ("POST", "/v1/models/..%2f..%2fetc/score", b"{}", {}, 404, ""),
        ("POST", "/v1/score/", b"{}", {}, 404, "there is nothing at /v1/score/"),
    ],
)
def test_bad_requests_are_answered_in_one_sentence_and_the_server_goes_on(
    client: httpx.Client,
    criteo: ModelSpec,
    method: str,
    path: str,
    content: bytes,
    headers: dict[str, str],
    status: int,
    culprit: str,
) -> None:
    response = client.request(method, path, content=content, headers=headers)
    assert response.status_code == status
    assert list(response.json()) == ["error"] and culprit in response.json()["error"]
    features, expected = golden(criteo)
    assert scores(client.post("/v1/score", json={"features": features})) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_a_gigabyte_is_refused_without_being_read(server: Server, client: httpx.Client, framing: str) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = "POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    known = framing == "content-length"
    head += ("Content-Length: 1000000000" if known else "Transfer-Encoding: chunked") + "\r\n\r\n"
    chunk = b" " * 65536 if known else b"10000\r\n" + b" " * 65536 + b"\r\n"
    sent = 0
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode())
        try:
            while sent < 1_000_000_000:
                connection.sendall(chunk)
                sent += len(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        # a reset may have thrown the answer away; what counts is that the server stopped reading
    assert sent < 100_000_000
    assert client.get("/readyz").status_code == 200


def test_the_answer_to_an_oversized_body_arrives_when_the_client_waits_for_it(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n"
        )
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ") and b"larger than the limit" in answer


def test_a_path_cannot_forge_a_log_line(server: Server, client: httpx.Client) -> None:
    client.post("/v1/models/x%0aINFO%20forged/score", json={})
    server.wait_for_line(r"x\\nINFO forged/score 404")


def test_a_client_that_leaves_half_way_does_no_harm(server: Server, client: httpx.Client) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    server.wait_for_line(r"POST /v1/score 499")
    assert client.get("/readyz").status_code == 200
    assert not [line for line in server.lines if "Traceback" in line]


def test_a_page_that_was_not_modified_has_no_body(client: httpx.Client) -> None:
    page = client.get("/docs").text
    (script,) = set(re.findall(r'src="([^"]+\.js)"', page))
    tag = client.get(script).headers["etag"]
    unchanged = client.get(script, headers={"If-None-Match": tag})
    assert unchanged.status_code == 304 and "transfer-encoding" not in unchanged.headers
    assert client.get("/healthz").json() == {"status": "alive"}
