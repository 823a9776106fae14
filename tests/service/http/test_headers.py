"""Headers are read by one set of rules, however they are written and whichever door a request takes."""

import gzip
import json
import re
import socket

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testing.servers import Server
from thimble.service.errors import RequestError
from thimble.service.http.headers import accepted_encoding, content_encoding, joined, media_type

ROW = b'{"features": {"I1": 3}}'
MANY = b'{"features": {"I1": [%s]}}' % b",".join([b"1"] * 500)
LINE = b"\t".join([b"1"] * 13 + [b"68fd1e64"] * 26)
BOM = b"\xef\xbb\xbf"


def asked(server: Server, body: bytes, *lines: str, path: str = "/v1/score") -> tuple[int, str, str]:
    """Status, headers and body of an answer, the same for what comes whole and what comes in chunks."""
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    whole = _asked(server, path, f"Content-Length: {len(body)}", lines, body)
    parts = _asked(server, path, "Transfer-Encoding: chunked", lines, chunk)
    assert whole == parts
    return whole


def _asked(server: Server, path: str, framing: str, lines: tuple[str, ...], body: bytes) -> tuple[int, str, str]:
    url = httpx.URL(server.url)
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", "X-Request-Id: one", framing, *lines, "", ""])
    with socket.create_connection((url.host, url.port or 0), timeout=30) as connection:
        connection.sendall(head.encode("latin-1") + body)
        file = connection.makefile("rb")
        said = b"".join(iter(file.readline, b"\r\n")).decode("latin-1").lower()
        length = re.search(r"content-length: (\d+)", said)
        assert length
        content = file.read(int(length[1]))
    if "content-encoding: gzip" in said:
        content = gzip.decompress(content)
    return int(said.split()[1]), re.sub(r"date: .*\r\n", "", said), content.decode("latin-1")


@pytest.mark.parametrize(
    ("body", "lines", "status", "culprit"),
    [
        (ROW, ["Content-Type: application/json "], 200, ""),
        (ROW, ["Content-Type:APPLICATION/JSON\t ; charset=UTF-8"], 200, ""),
        (ROW, ['Content-Type: application/json;charset="utf-8"; profile="a;b, c\\""'], 200, ""),
        (ROW, ["Content-Type: application/json;"], 200, ""),
        (ROW, ["Content-Type:"], 200, ""),
        (ROW, ["Content-Type: application/json; charset=iso-8859-1"], 200, ""),
        (b'{"features": {"I1": "\xe4"}}', ["Content-Type: application/json; charset=Latin1"], 415, "charset 'latin1'"),
        (LINE, ["Content-Type: text/tab-separated-values;header=absent "], 200, ""),
        (ROW, ["Content-Type: application/json", "Content-Type: text/plain"], 415, "'application/json, text/plain'"),
        (ROW, ["Content-Type: application/json", "Content-Type: application/json"], 200, ""),
        (ROW, ['Content-Type: text/plain; a="application/json"'], 415, "'text/plain'"),
        (gzip.compress(ROW), ["Content-Encoding: GZip "], 200, ""),
        (gzip.compress(ROW), ["Content-Encoding: x-gzip, identity"], 200, ""),
        (gzip.compress(ROW), ["Content-Encoding: identity", "Content-Encoding: gzip"], 200, ""),
        (gzip.compress(ROW), ["Content-Encoding: gzip", "Content-Encoding: gzip"], 415, "'gzip, gzip'"),
        (ROW, ["Content-Encoding:"], 200, ""),
        (ROW, ["Timeout-Ms: 20000 \t"], 200, ""),
        (ROW, ["Timeout-Ms: 20000", "Timeout-Ms: 5"], 400, "Timeout-Ms '20000, 5'"),
        (BOM + ROW, [], 200, ""),
        (BOM + LINE, ["Content-Type: text/tab-separated-values"], 200, ""),
        (gzip.compress(BOM + LINE), ["Content-Type: text/tab-separated-values", "Content-Encoding: gzip"], 200, ""),
        (BOM, [], 400, "the body is empty"),
        (BOM + BOM + ROW, [], 400, "invalid JSON"),
        (ROW.decode().encode("utf-16"), [], 400, "invalid JSON: it is UTF-16, send UTF-8"),
        (b'{"features": {"I1": NaN}}', [], 400, "NaN at line 1 column 21 is no value; a missing one is null"),
        (b'{"features": {"I1": -Infinity}}', [], 400, "Infinity at line 1"),
        (b'{"features": {"I1": [1, +inf]}}', [], 400, "+inf at line 1"),
        (b'{"features": {"I1":\n None}}', [], 400, "None at line 2 column 2 is no value; a missing one is null"),
        (b'{"features": {"I1": NaNa}}', [], 400, "unexpected character"),
    ],
)
def test_a_request_is_read_as_it_is_meant(
    server: Server, body: bytes, lines: list[str], status: int, culprit: str
) -> None:
    found, _, answer = asked(server, body, *lines)
    assert (found, culprit in answer) == (status, True), answer


def test_other_json_may_begin_with_a_byte_order_mark_too(client: httpx.Client) -> None:
    index = client.post("/v2/repository/index", content=BOM + b'{"ready": true}')
    assert index.status_code == 200 and index.json()
    infer = client.post("/v2/models/criteo/infer", content=BOM + b'{"inputs": []}')
    assert "input dense is missing" in infer.text
    infinite = client.post("/v2/models/criteo/infer", content=b'{"inputs": [Infinity]}')
    assert "Infinity at line 1 column 13 is no value" in infinite.text


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        ("gzip;q=0", None),
        ("gzip; q=0.000", None),
        ("GZIP ; Q = 0", None),
        ("gzip;q=0, deflate", "deflate"),
        ("deflate;q=0.5, gzip;q=0", "deflate"),
        ("deflate;q=0.5, gzip;q=0.4", "deflate"),
        ("br, gzip;q=0.1", "gzip"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("x-gzip", "gzip"),
        ("xgzip, gzipped", None),
        ("*", "gzip"),
        ("*;q=0", None),
        ("gzip;q=0, *", "deflate"),
        ("gzip;q=0, *;q=0.3", "deflate"),
        ("*;q=0, deflate;q=0.2", "deflate"),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("gzip;q=2", None),
        ("gzip;q=nan", None),
        ('gzip;q="1"', "gzip"),
        ('x;a=",gzip", deflate', "deflate"),
        ("gzip;level=9", "gzip"),
        (" , ,gzip ,", "gzip"),
        ("", None),
    ],
)
def test_answers_are_compressed_as_the_client_weighs_it(value: str, encoding: str | None) -> None:
    found = accepted_encoding(value.encode())
    assert found == (encoding.encode() if encoding else None)


def test_lines_of_one_header_are_one_list(server: Server) -> None:
    _, head, body = asked(server, MANY, "Accept-Encoding: br", "Accept-Encoding: gzip;q=0.5 ")
    assert "\r\ncontent-encoding: gzip\r\n" in head and len(json.loads(body)["scores"]) == 500
    _, head, _ = asked(server, MANY, "Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0")
    assert "content-encoding" not in head
    assert joined([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]) == {b"a": b"1, 3", b"b": b"2"}


@given(st.binary(max_size=300) | st.text('gzip",;=q01*\\ \t').map(str.encode))
def test_any_value_is_read_or_refused(value: bytes) -> None:
    assert accepted_encoding(value) in (None, b"gzip", b"deflate")
    assert isinstance(media_type(value).name, str)
    try:
        content_encoding({b"content-encoding": value})
    except RequestError as error:
        assert error.status == 415 and len(str(error)) < 200


@given(st.text('ab";, \\', max_size=50), st.sampled_from(["gzip", "deflate"]))
def test_what_is_within_quotes_means_nothing(text: str, name: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert accepted_encoding(f"br;a={quoted}, {name};a={quoted};q=0.5".encode()) == name.encode()
