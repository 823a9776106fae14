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
from thimble.models.bags import Bag
from thimble.models.features import ids_from_text

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
    cities = [city for row in rows if isinstance(city := row[1], str)]
    values, counts = np.unique(cities, return_counts=True)
    assert counts.max() > 0.1 * len(cities)
    assert len(values) > 2000
    assert all(int(str(city), 16) < IDS for city in cities[:100])
    assert 0.05 < np.mean([row[0] is None for row in rows]) < 0.15


TAGS = Feature(name="tags", kind="string", bag=Bag(values=4, pooling="mean"))
ITEMS = Feature(name="items", kind="int", bag=Bag(values=3, pooling="sum", separator=";"))
TAGGED = SHOP.model_copy(
    update={
        "features": [FEATURES[0], TAGS, ITEMS, FEATURES[1]],
        "known": Known(row={"age": 3, "tags": ["a", "b"], "items": [], "city": "0a"}, score=0.5, golden=True),
    }
)


def test_bags_have_any_number_of_ids_or_as_many_as_there_is_room_for() -> None:
    rows = generated(TAGGED.features, 2000, np.random.default_rng(0))
    for place, values in ((1, 4), (2, 3)):
        sizes = np.bincount([len(bag) for row in rows if isinstance(bag := row[place], list)])
        assert len(sizes) == values + 1 and sizes.sum() == 2000
        assert sizes[0] == pytest.approx(200, rel=0.3)
        assert sizes[1:] == pytest.approx(np.full(values, 1800 / values), rel=0.3)
    full = generated(TAGGED.features, 100, np.random.default_rng(0), "full")
    assert {(len(row[1]), len(row[2])) for row in full if isinstance(row[1], list) and isinstance(row[2], list)} == {
        (4, 3)
    }


def test_bags_are_written_in_every_encoding() -> None:
    features = httpx.Response(200, content=prepare(Traffic(), TAGGED)[0].body).json()["features"]
    assert features == {"age": 3, "tags": {"bag": ["a", "b"]}, "items": {"bag": []}, "city": "0a"}
    context = Traffic(scenario="context", bags="full")
    features = httpx.Response(200, content=prepare(context, TAGGED)[1].body).json()["features"]
    assert len(features["tags"]["bag"]) == 4 and {len(bag) for bag in features["items"]} == {3}
    lines = prepare(Traffic(scenario="batch", encoding="tsv", bags="full"), TAGGED)[1].body.decode().splitlines()
    assert {(line.count("|"), line.count(";"), line.count("\t")) for line in lines} == {(3, 2, 3)}
    content = prepare(Traffic(scenario="batch", encoding="binary", rows=2), TAGGED)[0].body
    ids = np.frombuffer(content[-2 * 8 * 8 :], "<i8").reshape(2, 8)
    np.testing.assert_array_equal(ids, [[*ids_from_text("", "string", ["a", "b"]), 0, 0, 0, 0, 0, 10]] * 2)


def test_fewer_rows_are_prepared_where_bags_make_them_long() -> None:
    bag = Bag(values=1000, pooling="sum")
    long = TAGGED.model_copy(update={"features": [TAGS.model_copy(update={"bag": bag}), *TAGGED.features[2:]]})
    requests = prepare(Traffic(bags="full"), long)
    assert 2000 < sum(request.rows for request in requests) < 2200
    assert sum(request.rows for request in prepare(Traffic(), SHOP)) == 1 << 15


def test_bags_come_from_a_click_file(tmp_path: Path) -> None:
    path = tmp_path / "clicks.tsv"
    path.write_text("1\t7\ta|b|\t3;4\t0b\n0\t\t\t;\t0c\n")
    traffic = Traffic(scenario="batch", rows=40, clicks=path)
    features = httpx.Response(200, content=prepare(traffic, TAGGED)[1].body).json()["features"]
    assert {tuple(bag) for bag in features["tags"]} == {("a", "b"), ()}
    assert {tuple(bag) for bag in features["items"]} == {(3, 4), ()}


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
