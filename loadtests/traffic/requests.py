"""What is sent: which rows, how many in a request, and in which form. All of it is prepared before it is due."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field

from thimble.client.encoding import Floats, Int64s, JsonTensor, infer_request
from thimble.loadtests.traffic.rows import Bags, Row, drawn
from thimble.loadtests.traffic.served import Feature, LoadError, Served, Value, authorization
from thimble.models import inputs
from thimble.models.features import FeatureError, column_from_values

Scenario = Literal["single", "batch", "context"]
Encoding = Literal["json", "tsv", "binary"]

# As MLPerf's user-item pairs a sample: 100 to 700, 270 on average. The beta distribution between is ours.
CANDIDATES = (100, 700)
CANDIDATES_SHAPE = (1.7, 4.3)
# Prepared requests repeat after so many rows, or values of them, or after FEWEST requests.
ROWS = 1 << 15
VALUES = 1 << 21
FEWEST = 64
# More than any server takes in one request, and still little enough to prepare FEWEST of them.
MOST_ROWS = 1 << 16
# One request in so many is made of the known row alone.
KNOWN_EVERY = 64


class Traffic(BaseModel):
    """Requests to prepare; the same `seed` gives the same ones.

    `single` is one row a request, `batch` is `rows` rows, `context` one user with 100 to 700 candidates, 270 on
    average. Rows are those of `clicks`, a file of Criteo lines, or generated for the features of the served model.
    `model` is its name; without one, there must be only one.
    """

    model_config = ConfigDict(frozen=True)

    scenario: Annotated[
        Scenario,
        Field(
            description="what a request holds: a single row, a batch of --rows, or one user's context with "
            f"{CANDIDATES[0]} to {CANDIDATES[1]} candidates"
        ),
    ] = "single"
    encoding: Annotated[Encoding, Field(description="how it is written")] = "json"
    rows: Annotated[int, Field(gt=0, le=MOST_ROWS, description="rows of a batch")] = 64
    clicks: Annotated[
        Path | None, Field(description="draw rows from this file of Criteo lines instead of inventing them")
    ] = None
    bags: Annotated[
        Bags, Field(description="how many ids an invented bag has: any number that the model takes of it, or full ones")
    ] = "any"
    model: Annotated[str | None, Field(description="name of the model, where several are served")] = None
    seed: Annotated[int, Field(ge=0, lt=1 << 63, description="the same seed, the same requests at the same times")] = 0


class Prepared(NamedTuple):
    """A request ready to be sent. `expected` is the score that every row must have, where that is known.

    Of a model of several `outputs` it is the first one's.
    """

    path: str
    headers: dict[str, str]
    body: bytes
    rows: int
    binary: bool
    expected: float | None
    outputs: int = 1


def prepare(traffic: Traffic, served: Served) -> list[Prepared]:
    """Requests to send in turn, in both senses. LoadError: the clicks cannot be read."""
    columns = sum(feature.bag.values if feature.bag else 1 for feature in served.features)
    sizes = list(_sizes(traffic, min(ROWS, VALUES // columns)))
    rows = iter(drawn(served.features, traffic.clicks, sum(sizes), traffic.seed, traffic.bags))
    known = [served.known.row.get(feature.name) for feature in served.features]
    encode = {"json": _json, "tsv": _tsv, "binary": _binary}[traffic.encoding]
    shared = len(served.features) // 2 if traffic.scenario == "context" else 0
    prepared = []
    for number, size in enumerate(sizes):
        of_request = _with_context(list(itertools.islice(rows, size)), shared)
        expected = None
        if number % KNOWN_EVERY == 0:
            of_request, expected = [known] * size, served.known.score
        path, headers, body = encode(served, of_request, shared)
        headers |= {"Accept-Encoding": "identity", **authorization()}
        prepared.append(
            Prepared(path, headers, body, size, traffic.encoding == "binary", expected, len(served.outputs))
        )
    return prepared


def _sizes(traffic: Traffic, rows: int) -> Iterator[int]:
    """Rows of each request, until they are so many."""
    random = np.random.default_rng([traffic.seed, 2])
    low, high = CANDIDATES
    total = count = 0
    while total < rows or count < FEWEST:
        match traffic.scenario:
            case "single":
                size = 1
            case "batch":
                size = traffic.rows
            case "context":
                size = low + round((high - low) * random.beta(*CANDIDATES_SHAPE))
        total, count = total + size, count + 1
        yield size


def _with_context(rows: list[Row], shared: int) -> list[Row]:
    """The first features are the user's, so the same in all rows."""
    return [[*rows[0][:shared], *row[shared:]] for row in rows] if shared else rows


def _json(served: Served, rows: Sequence[Row], shared: int) -> tuple[str, dict[str, str], bytes]:
    columns: list[object] = [list(column) for column in zip(*rows, strict=True)]
    scalars = len(columns) if len(rows) == 1 else shared
    values = [*map(_shared, rows[0][:scalars]), *columns[scalars:]]
    features = dict(zip((feature.name for feature in served.features), values, strict=True))
    body = orjson.dumps({"features": features})
    return f"/v1/models/{served.name}/score", {"Content-Type": "application/json"}, body


def _shared(value: Value) -> object:
    return {"bag": value} if isinstance(value, list) else value


def _tsv(served: Served, rows: Sequence[Row], _: int) -> tuple[str, dict[str, str], bytes]:
    lines = ("\t".join(map(_token, served.features, row)) for row in rows)
    headers = {"Content-Type": "text/tab-separated-values"}
    return f"/v1/models/{served.name}/score", headers, "\n".join([*lines, ""]).encode()


def _token(feature: Feature, value: Value) -> str:
    if isinstance(value, list):
        assert feature.bag
        return feature.bag.separator.join("" if it is None else str(it) for it in value)
    return "" if value is None else str(value)


def _binary(served: Served, rows: Sequence[Row], _: int) -> tuple[str, dict[str, str], bytes]:
    """LoadError: a value that its feature does not take."""
    features = [inputs.Feature(it.name, it.kind, it.bag) for it in served.features]
    try:
        columns = [*map(column_from_values, features, zip(*rows, strict=True))]
    except FeatureError as error:
        raise LoadError(f"{error}, so no tensors can be made of these rows") from None
    tensors: dict[str, Floats | Int64s | JsonTensor] = {}
    for tensor in inputs.input_tensors(features):
        if own := [column for it, column in zip(features, columns, strict=True) if it in tensor.features]:
            tensors[tensor.name] = np.column_stack(own)
    headers, body = infer_request(tensors)
    return f"/v2/models/{served.name}/infer", headers, body
