"""Prepared requests, sent to a real server."""

import gzip
from pathlib import Path
from typing import get_args

import httpx
import numpy as np
import pytest

from testing.servers import Server
from thimble.loadtests.traffic.answers import problem
from thimble.loadtests.traffic.requests import KNOWN_EVERY, Encoding, Prepared, Scenario, Traffic, prepare
from thimble.loadtests.traffic.rows import IDS, generated
from thimble.loadtests.traffic.served import Feature, Known, LoadError, Served, served

FEATURES = [Feature(name="age", kind="number"), Feature(name="city", kind="hex"), Feature(name="shop", kind="string")]
SHOP = Served(
    name="shop",
    version=1,
    precision="fp32",
    features=FEATURES,
    known=Known(row={"age": 3, "city": "0a", "shop": None}, score=0.5, golden=True),
)


def send(url: str, request: Prepared) -> httpx.Response:
    return httpx.post(url + request.path, content=request.body, headers=request.headers)


@pytest.mark.parametrize("encoding", get_args(Encoding))
@pytest.mark.parametrize("scenario", get_args(Scenario))
def test_a_server_answers_every_kind_of_request(server: Server, scenario: Scenario, encoding: Encoding) -> None:
    model, description = served(server.url)
    assert description["scheme"] == "block"
    requests = prepare(Traffic(scenario=scenario, encoding=encoding, rows=5), model)
    assert requests[0].expected == model.known.score
    assert requests[1].expected is None
    for request in requests[:3]:
        answer = send(server.url, request)
        assert answer.status_code == 200, answer.text
        assert problem(request, answer.content, model.tolerance) is None
        wrong = request._replace(expected=0.1)
        assert problem(wrong, answer.content, model.tolerance) == "another score than the known row's"
        more = request._replace(rows=request.rows + 1)
        assert problem(more, answer.content, model.tolerance) is not None


@pytest.mark.parametrize("encoding", get_args(Encoding))
def test_the_seed_decides_every_byte(encoding: Encoding) -> None:
    traffic = Traffic(scenario="batch", encoding=encoding, rows=300)
    assert prepare(traffic, SHOP) == prepare(traffic, SHOP)
    assert prepare(traffic, SHOP) != prepare(traffic.model_copy(update={"seed": 1}), SHOP)


def test_a_context_shares_its_first_features_and_has_as_many_candidates_as_mlperfs() -> None:
    requests = prepare(Traffic(scenario="context"), SHOP)
    sizes = np.array([request.rows for request in requests])
    assert sizes.min() >= 100
    assert sizes.max() <= 700
    assert sizes.mean() == pytest.approx(270, rel=0.1)
    features = httpx.Response(200, content=requests[1].body).json()["features"]
    assert not isinstance(features["age"], list)
    assert len(features["city"]) == len(features["shop"]) == requests[1].rows
    (lines,) = (
        request.body.decode().splitlines()
        for request in prepare(Traffic(scenario="context", encoding="tsv"), SHOP)[1:2]
    )
    assert len({line.split("\t")[0] for line in lines}) == 1


def test_a_single_row_is_all_scalars_and_known_rows_come_now_and_then() -> None:
    requests = prepare(Traffic(), SHOP)
    assert httpx.Response(200, content=requests[0].body).json() == {"features": SHOP.known.row}
    known = [place for place, request in enumerate(requests) if request.expected is not None]
    assert known[:3] == [0, KNOWN_EVERY, 2 * KNOWN_EVERY]


def test_popular_ids_are_popular_and_there_are_many() -> None:
    rows = generated(FEATURES, 20_000, np.random.default_rng(0))
    cities = [row[1] for row in rows if row[1] is not None]
    values, counts = np.unique(cities, return_counts=True)
    assert counts.max() > 0.1 * len(cities)
    assert len(values) > 2000
    assert all(int(str(city), 16) < IDS for city in cities[:100])
    assert 0.05 < np.mean([row[0] is None for row in rows]) < 0.15


def test_rows_come_from_a_click_file(tmp_path: Path) -> None:
    path = tmp_path / "clicks.tsv.gz"
    path.write_bytes(gzip.compress(b"1\t7\t0b\tparis\n0\t\t0c\t\n5\t0d\toslo\n"))
    (request,) = prepare(Traffic(scenario="batch", encoding="tsv", rows=400, clicks=path), SHOP)[1:2]
    assert set(request.body.decode().splitlines()) == {"7\t0b\tparis", "\t0c\t", "5\t0d\toslo"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1\t2\t0a\n2\n", "line 2: 1 columns, but the model has 3 features"),
        ("", "is empty"),
        ("old\t0a\tparis\n", "could not convert string to float: 'old'"),
    ],
)
def test_clicks_that_do_not_fit_the_model_are_refused(tmp_path: Path, lines: str, message: str) -> None:
    path = tmp_path / "clicks.tsv"
    path.write_text(lines)
    with pytest.raises(LoadError, match=message):
        prepare(Traffic(clicks=path), SHOP)
    with pytest.raises(LoadError, match="cannot read clicks from"):
        prepare(Traffic(clicks=tmp_path / "none"), SHOP)


def test_an_api_key_goes_with_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Authorization" not in prepare(Traffic(), SHOP)[0].headers
    monkeypatch.setenv("THIMBLE_KEY", "secret")
    assert {request.headers["Authorization"] for request in prepare(Traffic(), SHOP)} == {"Bearer secret"}
