"""What is sent: which rows, how many in a request, and in which form. All of it is prepared before it is due."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import orjson
import xxhash
from pydantic import BaseModel, ConfigDict, Field

from thimble.loadtests.traffic.rows import Row, Value, drawn
from thimble.loadtests.traffic.served import LoadError, Served, authorization

Scenario = Literal["single", "batch", "context"]
Encoding = Literal["json", "tsv", "binary"]

# As MLPerf's user-item pairs a sample: 100 to 700, 270 on average. The beta distribution between is ours.
CANDIDATES = (100, 700)
CANDIDATES_SHAPE = (1.7, 4.3)
# Prepared requests repeat after so many rows, or after FEWEST requests.
ROWS = 1 << 15
FEWEST = 64
# One request in so many is made of the golden row alone.
GOLDEN_EVERY = 64


class Traffic(BaseModel):
    """Requests to prepare; the same `seed` gives the same ones.

    `single` is one row a request, `batch` is `rows` rows, `context` one user with 100 to 700 candidates, 270 on
    average. Rows are those of `clicks`, a file of Criteo lines, or generated for the features of the served model.
    `model` is its name; without one, there must be only one.
    """

    model_config = ConfigDict(frozen=True)

    scenario: Scenario = "single"
    encoding: Encoding = "json"
    rows: Annotated[int, Field(gt=0)] = 64
    clicks: Path | None = None
    model: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0


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
    golden = [served.golden.get(feature.name) for feature in served.features]
    encode = {"json": _json, "tsv": _tsv, "binary": _binary}[traffic.encoding]
    shared = len(served.features) // 2 if traffic.scenario == "context" else 0
    prepared = []
    for number, size in enumerate(sizes):
        of_request = _with_context(list(itertools.islice(rows, size)), shared)
        expected = None
        if number % GOLDEN_EVERY == 0:
            of_request, expected = [golden] * size, served.golden_score
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
    kinds = [feature.kind for feature in served.features]
    numbers = kinds.count("number")
    if set(kinds[:numbers]) - {"number"}:
        raise LoadError("the server's numbers do not come before its fields, so they cannot be sent as tensors")
    dense = np.array([[np.nan if v is None else v for v in row[:numbers]] for row in rows], "<f4")
    ids = np.array([[*map(_id, kinds[numbers:], row[numbers:])] for row in rows], "<i8")
    inputs = [
        {"name": name, "datatype": kind, "shape": list(tensor.shape), "parameters": {"binary_data_size": tensor.nbytes}}
        for name, kind, tensor in (("dense", "FP32", dense), ("ids", "INT64", ids))
    ]
    header = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(header))}
    return f"/v2/models/{served.name}/infer", headers, header + dense.tobytes() + ids.tobytes()


def _id(kind: str, value: Value) -> int:
    """What a field's value becomes in a tensor; 0 where it is missing."""
    if value is None:
        return 0
    if kind == "string":
        return int(xxhash.xxh3_64_intdigest(str(value).encode()) >> 4)
    return int(str(value), 16) if kind == "hex" else int(value)
