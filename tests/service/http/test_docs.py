"""What a browser finds: a page on which to try everything out, also behind a key and below a proxy's path, and answers
that pages of other origins may read."""

import gzip
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from testing.browser import Page, page
from testing.conditions import until
from testing.servers import Server, running

API, ADMIN = "a-key-for-scoring-rows", "a-key-for-those-on-call"
ROW = '{"features": {"d0": 3}}'
# Into a field of React's, which looks at events alone.
ENTER = """(it => {
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(it, %r)
  it.dispatchEvent(new Event("input", {bubbles: true}))
})(document.querySelector(".auth-container input"))"""


@pytest.fixture(scope="module")
def guarded(server: Server, small_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Has keys, is below a path, and may be asked by the pages of `server`. Its models can be changed."""
    repository = tmp_path_factory.mktemp("repository")
    (repository / "small" / "1").mkdir(parents=True)
    (repository / "small" / "1" / "model.onnx").write_bytes(small_artifact.read_bytes())
    room = str(1 << 20)
    limits = ("--max-body-bytes", room, "--max-inflight-bytes", room)
    flags = ("--root-path", "/thimble/", "--allow-origin", server.url, *limits)
    with running(repository, *flags, env={"THIMBLE_API_KEYS": API, "THIMBLE_ADMIN_KEYS": ADMIN}) as it:
        yield it


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with page(tmp_path_factory.mktemp("browser")) as it:
        yield it


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_key_is_entered_on_the_page_and_the_examples_are_scored_as_they_are(guarded: Server, tab: Page) -> None:
    assert tab.opens(f"{guarded.url}/thimble/docs")
    tab.wait("document.querySelector('.opblock')")
    assert not tab.run("document.querySelector('#operations-score-score')")
    tab.click(".btn.authorize")
    tab.wait("document.querySelector('.auth-container input')")
    tab.run(ENTER % API)
    tab.click(".auth-btn-wrapper .authorize")
    tab.click(".btn-done")
    tab.click("#operations-score-score .opblock-summary-control")
    tab.click("#operations-score-score .try-out__btn")
    for media in ("application/json", "text/tab-separated-values"):
        choose = f"it.value = {media!r}; it.dispatchEvent(new Event('change', {{bubbles: true}}))"
        tab.run(f"(it => {{ {choose} }})(document.querySelector('#operations-score-score .content-type'))")
        tab.click("#operations-score-score .execute")
        answered = "document.querySelector('#operations-score-score .live-responses-table')?.innerText"
        tab.wait(f"{answered}?.includes('scores')")
        assert f"{guarded.url}/thimble/v1/score" in tab.run("document.querySelector('.request-url').innerText")
        assert f"Content-Type: {media}" in tab.run("document.querySelector('.curl-command').innerText")
        tab.click("#operations-score-score .btn-clear")
        tab.wait(f"!{answered}")


def fetched(tab: Page, url: str, **options: Any) -> Any:
    """Status, text and id of an answer, or the error, of a page's script."""
    shown = "answer.text().then(text => [answer.status, text, answer.headers.get('x-request-id')])"
    return tab.run(f"fetch({url!r}, {json.dumps(options)}).then(answer => {shown}, error => error.name)")


def test_pages_of_an_allowed_origin_ask_and_read_all_answers(server: Server, guarded: Server, tab: Page) -> None:
    sent = {"method": "POST", "body": ROW, "headers": {"Content-Type": "application/json", **bearer(API)}}
    assert tab.opens(f"{server.url}/healthz")
    status, text, name = fetched(tab, f"{guarded.url}/v1/score", **sent)
    assert status == 200 and len(json.loads(text)["scores"]) == 1 and name
    large = json.dumps({"features": {"d0": [1] * 5000}})
    assert fetched(tab, f"{guarded.url}/v1/score", **{**sent, "body": large})[0] == 200
    refusals: dict[int, dict[str, Any]] = {
        401: {"headers": {"Content-Type": "application/json"}},
        400: {"body": "{"},
        415: {"headers": {**bearer(API), "Content-Type": "text/plain"}},
    }
    for refused, options in refusals.items():
        status, text, _ = fetched(tab, f"{guarded.url}/v1/score", **{**sent, **options})
        assert status == refused and json.loads(text)["error"]
    assert fetched(tab, f"{guarded.url}/v1/models", headers=bearer(API))[0] == 200
    assert fetched(tab, f"{guarded.url}/nothing", headers=bearer(API))[0] == 404
    release = f"{guarded.url}/v1/models/small/release"
    assert fetched(tab, release, method="PUT", body="{}", headers=bearer(ADMIN))[0] == 200
    dawdler = f"POST /v1/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {API}\r\nContent-Length: 1000000\r\n\r\n"
    url = httpx.URL(guarded.url)
    with socket.create_connection((url.host, url.port or 0)) as connection:
        connection.sendall(dawdler.encode())  # and has all the room for bodies
        large = json.dumps({"features": {"d0": [1] * 50_000}})
        until(lambda: httpx.post(f"{guarded.url}/v1/score", content=large, headers=bearer(API)).status_code == 429)
        status, text, _ = fetched(tab, f"{guarded.url}/v1/score", **{**sent, "body": large})
        assert status == 429 and "bodies of 1000000 bytes are being read" in text
    # the same host by another name is another origin
    assert tab.opens(f"{server.url.replace('127.0.0.1', 'localhost')}/healthz")
    assert fetched(tab, f"{guarded.url}/v1/score", **sent) == "TypeError"
    assert fetched(tab, f"{server.url}/v1/models") == "TypeError"  # nobody is allowed where nothing is said
    assert fetched(tab, f"{server.url}/v1/models", mode="no-cors")[:2] == [0, ""]


def test_what_is_told_depends_on_the_origin(server: Server, guarded: Server) -> None:
    for origin in (server.url, "https://elsewhere.example", None):
        asked = bearer(API) | ({"Origin": origin} if origin else {})
        found = httpx.get(f"{guarded.url}/v1/models", headers=asked)
        assert found.headers.get("access-control-allow-origin") == (origin if origin == server.url else None)
        assert found.status_code == 200 and found.headers["vary"] == "Origin"
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    refused = httpx.options(f"{guarded.url}/v1/score", headers=asked)
    assert refused.status_code == 400 and "access-control-allow-origin" not in refused.headers
    assert refused.json() == {"error": "a page of https://elsewhere.example may not send POST here (--allow-origin)"}


def test_without_a_key_the_description_says_nothing_of_models(guarded: Server) -> None:
    url = f"{guarded.url}/openapi.json"
    outline, whole = httpx.get(url), httpx.get(url, headers=bearer(API))
    assert outline.status_code == 200 and "small_1" not in outline.text and "small_1" in whole.text
    assert set(outline.json()["paths"]) < set(whole.json()["paths"])
    assert httpx.get(url, headers=bearer("x" * 20)).status_code == 401
    for path in ("/", "/page/main.js", "/docs", "/docs/swagger-ui.css"):
        assert httpx.get(guarded.url + path).status_code == 200
    for path in ("/docs/else", "/page/else", "/v1/activity"):
        assert httpx.get(guarded.url + path).status_code == 401


def operations(description: httpx.Response) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each."""
    for path, item in description.json()["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def test_every_401_is_described_and_no_other(guarded: Server) -> None:
    with httpx.Client(base_url=guarded.url) as client:
        for method, path, operation in operations(client.get("/openapi.json", headers=bearer(API))):
            found = client.request(method, path.format(model="small", version="1"))
            assert (found.status_code == 401) == ("401" in operation["responses"]) == ("security" in operation), path


def test_every_example_is_accepted_as_it_is(guarded: Server) -> None:
    sent = set()
    with httpx.Client(base_url=guarded.url, headers=bearer(ADMIN), timeout=60) as client:
        for method, path, operation in operations(client.get("/openapi.json")):
            if method == "delete" or path.endswith(("/rollback", "/unload")):
                continue  # they have no body, and end what is served
            places = {it["name"]: it["example"] for it in operation.get("parameters", []) if it["in"] == "path"}
            url = path.format(**places)
            for media, content in operation.get("requestBody", {}).get("content", {}).items():
                if "example" in content:
                    example = content["example"]
                    body = (example if isinstance(example, str) else json.dumps(example)).encode()
                    for packed in ({}, {"Content-Encoding": "gzip"}):
                        headers = {"Content-Type": media, **packed}
                        whole = gzip.compress(body) if packed else body
                        found = client.request(method, url, content=whole, headers=headers)
                        assert found.status_code == 200, (url, found.text)
                        sent.add((method, media))
            if method == "get":
                assert client.get(url).status_code == 200, url
    assert sent == {(method, "application/json") for method in ("post", "put")} | {
        ("post", "text/tab-separated-values")
    }


@pytest.mark.parametrize("prefix", ["", "/thimble"])
def test_paths_come_with_and_without_what_a_proxy_puts_before_them(guarded: Server, prefix: str) -> None:
    with httpx.Client(base_url=guarded.url, headers=bearer(API)) as client:
        assert client.get(f"{prefix}/v1/models?x=/thimble").status_code == 200
        assert client.post(f"{prefix}/v1/score", content=ROW).status_code == 200
        assert client.post(f"{prefix}/v1/models/small/score", content=iter([ROW.encode()])).status_code == 200
        for path in (f"{prefix}/", f"{prefix}?x"):
            assert '<base href="/thimble/">' in client.get(path).text
        assert client.get(f"{prefix}/openapi.json").json()["servers"] == [{"url": "/thimble"}]
    for path in ("/thimbles/v1/models", "/thimble/thimble/v1/models"):
        assert httpx.get(guarded.url + path, headers=bearer(API)).status_code == 404


def test_all_links_are_relative(client: httpx.Client) -> None:
    for path, some in (("/", 6), ("/docs", 4)):
        links = re.findall(r'(?:src|href|url)[=:] ?"([^"#]+)"', client.get(path).text)
        assert len(links) == some and not [link for link in links if link.startswith(("/", "http"))]
    assert "servers" not in client.get("/openapi.json").json()


def test_head_is_answered_as_get_is_and_options_says_what_is_allowed(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    there = {path: set(map(str.upper, item)) for path, item in paths.items()}
    pages = {path: {"GET"} for path in ("/", "/page/main.js", "/docs", "/docs/swagger-ui.css")}
    for template, methods in {**there, **pages}.items():
        path = template.format(model="criteo", version="1")
        asked = client.options(path)
        named = {*asked.headers["allow"].split(", ")}
        assert (asked.status_code, asked.text) == (204, "")
        assert named == methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()), path
        wrong = client.request("TRACE", path)
        assert wrong.status_code == 405 and {*wrong.headers["allow"].split(", ")} == named
        head = client.head(path)
        assert head.content == b""
        if "GET" in methods:
            told = client.get(path)
            assert head.status_code == told.status_code
            unlike = {"date", "x-request-id"} | ({"content-length"} if path == "/metrics" else set())
            assert {k: v for k, v in head.headers.items() if k not in unlike} == {
                k: v for k, v in told.headers.items() if k not in unlike
            }
        else:
            assert head.status_code == 405
    assert client.options("/nothing").status_code == client.head("/nothing").status_code == 404
