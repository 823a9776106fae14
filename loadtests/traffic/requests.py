"""What is sent: which rows, how many in a request, and in which form. All of it is prepared before it is due."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field

from thimble.client.encoding import Floats, Int64s, JsonTensor, infer_request
from thimble.loadtests.traffic.rows import Row, drawn
from thimble.loadtests.traffic.served import LoadError, Served, authorization
from thimble.models.features import FeatureError, dense_from_values, ids_from_values

Scenario = Literal["single", "batch", "context"]
Encoding = Literal["json", "tsv", "binary"]

# As MLPerf's user-item pairs a sample: 100 to 700, 270 on average. The beta distribution between is ours.
CANDIDATES = (100, 700)
CANDIDATES_SHAPE = (1.7, 4.3)
# Prepared requests repeat after so many rows, or after FEWEST requests.
ROWS = 1 << 15
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
    model: Annotated[str | None, Field(description="name of the model, where several are served")] = None
    seed: Annotated[int, Field(ge=0, lt=1 << 63, description="the same seed, the same requests at the same times")] = 0


class Prepared(NamedTuple):
    """A request ready to be sent. `expected` is the score that every row must have, where that is known."""

    path: str
    headers: dict[str, str]
    body: bytes
    rows: int
    binary: bool
    expected: float | None


def prepare(traffic: Traffic, served: Served) -> list[Prepared]:
    """Requests to send in turn, in both senses. LoadError: the clicks cannot be read."""
    sizes = list(_sizes(traffic))
    rows = iter(drawn(served.features, traffic.clicks, sum(sizes), traffic.seed))
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
        prepared.append(Prepared(path, headers, body, size, traffic.encoding == "binary", expected))
    return prepared


def _sizes(traffic: Traffic) -> Iterator[int]:
    """Rows of each request."""
    random = np.random.default_rng([traffic.seed, 2])
    low, high = CANDIDATES
    total = count = 0
    while total < ROWS or count < FEWEST:
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
    values = [*rows[0][:scalars], *columns[scalars:]]
    features = dict(zip((feature.name for feature in served.features), values, strict=True))
    body = orjson.dumps({"features": features})
    return f"/v1/models/{served.name}/score", {"Content-Type": "application/json"}, body


def _tsv(served: Served, rows: Sequence[Row], _: int) -> tuple[str, dict[str, str], bytes]:
    lines = ("\t".join("" if value is None else str(value) for value in row) for row in rows)
    headers = {"Content-Type": "text/tab-separated-values"}
    return f"/v1/models/{served.name}/score", headers, "\n".join([*lines, ""]).encode()


def _binary(served: Served, rows: Sequence[Row], _: int) -> tuple[str, dict[str, str], bytes]:
    """LoadError: a value that its feature does not take."""
    columns = list(zip(served.features, zip(*rows, strict=True), strict=True))
    try:
        dense = [dense_from_values(it.name, values) for it, values in columns if it.kind == "number"]
        ids = [ids_from_values(it.name, it.kind, values) for it, values in columns if it.kind != "number"]
    except FeatureError as error:
        raise LoadError(f"{error}, so no tensors can be made of these rows") from None
    tensors: dict[str, Floats | Int64s | JsonTensor] = {}
    if dense:
        tensors["dense"] = np.stack(dense, axis=1)
    if ids:
        tensors["ids"] = np.stack(ids, axis=1)
    headers, body = infer_request(tensors)
    return f"/v2/models/{served.name}/infer", headers, body
