"""A client for servers of this package: `pip install -e '.[client]'` in a clone.

    with Client("http://127.0.0.1:8000") as client:
        scores = client.score({"I1": 3, "C1": "68fd1e64", "C2": ["80e26c9b", "04cf62df"]})

`AsyncClient` is the same with `async with` and `await`.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

import httpx
import numpy as np
import orjson

from thimble.client.encoding import HEADER_LENGTH, Floats, Int64s, infer_request
from thimble.client.retries import Retries

Value = int | float | str | None
Features = Mapping[str, Value | Sequence[Value]]
Outcome = httpx.Response | httpx.TransportError

JSON = {"content-type": "application/json"}
# Asked again after these: scoring changes nothing, so a request may safely be sent twice.
BUSY = (429, 503)


class ThimbleError(Exception):
    """What the server answered instead of scores: its status and its sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class _Request(NamedTuple):
    path: str
    headers: dict[str, str]
    content: bytes


class _Wire:
    """What both clients share: where to ask, how to ask, what to make of answers, and when to ask again."""

    def __init__(self, model: str | None, version: int | None, patience: float) -> None:
        if version is not None and model is None:
            raise ValueError("a version is of a model, so name the model too")
        self.model = model
        self._version = f"/versions/{version}" if version is not None else ""
        self._patience = patience

    def features(self, features: Features, timeout: float | None) -> _Request:
        path = f"/v1/models/{self.model}{self._version}/score" if self.model else "/v1/score"
        limit = {} if timeout is None else {"timeout-ms": str(max(round(timeout * 1e3), 1))}
        content = orjson.dumps({"features": features}, option=orjson.OPT_SERIALIZE_NUMPY)
        return _Request(path, {**JSON, **limit}, content)

    def arrays(self, dense: Floats, ids: Int64s, timeout: float | None) -> _Request:
        tensors: dict[str, Floats | Int64s] = {"dense": np.asarray(dense, np.float32), "ids": np.asarray(ids, np.int64)}
        headers, content = infer_request(tensors, timeout)
        return _Request(f"/v2/models/{self.model}{self._version}/infer", headers, content)

    def scores(self, response: httpx.Response) -> Floats:
        """ThimbleError: there are none."""
        if response.status_code != 200:
            raise ThimbleError(response.status_code, _sentence(response) or response.text[:200])
        if (length := response.headers.get(HEADER_LENGTH)) is not None:
            return np.frombuffer(response.content, "<f4", offset=int(length)).astype(np.float32)
        return np.array(orjson.loads(response.content)["scores"], np.float32)

    def only_model(self, response: httpx.Response) -> str:
        """The name of the model, if only one is served. ThimbleError: there are several."""
        if response.status_code != 200:
            raise ThimbleError(response.status_code, _sentence(response) or response.text[:200])
        names = sorted({entry["name"] for entry in orjson.loads(response.content)})
        if len(names) != 1:
            raise ThimbleError(404, f"several models are served, name one: {', '.join(names)}")
        return str(names[0])

    def retries(self) -> Retries:
        """Of one request, from now on."""
        return Retries(self._patience)

    def pause(self, outcome: Outcome, retries: Retries) -> float | None:
        """Seconds after which to ask again, None if the outcome stands."""
        if isinstance(outcome, httpx.TransportError):
            return retries.next_pause(None)
        if outcome.status_code not in BUSY and not _of_a_proxy(outcome):
            return None
        asked = outcome.headers.get("retry-after", "")
        return retries.next_pause(float(asked) if asked.isascii() and asked.isdigit() else None)


class Client:
    """Scores rows on a server. Threads may share one."""

    def __init__(
        self,
        url: str,
        model: str | None = None,
        version: int | None = None,
        key: str | None = None,
        patience: float = 10,
        wait: float = 10,
    ) -> None:
        """By default the only model in the version that is live; `key` is for servers that ask for one.

        A server that is busy or cannot be reached, be it by a proxy in front of it, is asked again, as it says when,
        for `patience` seconds; `wait` is how many seconds to wait for each answer.
        """
        self._wire = _Wire(model, version, patience)
        self._http = httpx.Client(base_url=url, timeout=wait, headers=_bearer(key))

    def score(self, features: Features, timeout: float | None = None) -> Floats:
        """Click probabilities, float32 [rows]; a scalar is shared by all rows, a list has one value a row.

        `timeout` is in seconds: the server refuses what it cannot answer in it. ThimbleError: the server refused.
        httpx.TransportError: it cannot be reached.
        """
        return self._ask(self._wire.features(features, timeout))

    def score_arrays(self, dense: Floats, ids: Int64s, timeout: float | None = None) -> Floats:
        """The same for rows that are arrays already, which is much faster: dense [rows, numbers], ids [rows, fields].

        NaN is a missing number, 0 a missing id.
        """
        if self._wire.model is None:
            self._wire.model = self._wire.only_model(self._http.get("/v1/models"))
        return self._ask(self._wire.arrays(dense, ids, timeout))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask(self, request: _Request) -> Floats:
        retries = self._wire.retries()
        while True:
            outcome: Outcome
            try:
                outcome = self._http.post(request.path, headers=request.headers, content=request.content)
            except httpx.TransportError as error:
                outcome = error
            if (pause := self._wire.pause(outcome, retries)) is None:
                return self._wire.scores(_answered(outcome))
            time.sleep(pause)


class AsyncClient:
    """`Client` for asyncio."""

    def __init__(
        self,
        url: str,
        model: str | None = None,
        version: int | None = None,
        key: str | None = None,
        patience: float = 10,
        wait: float = 10,
    ) -> None:
        """As `Client`."""
        self._wire = _Wire(model, version, patience)
        self._http = httpx.AsyncClient(base_url=url, timeout=wait, headers=_bearer(key))

    async def score(self, features: Features, timeout: float | None = None) -> Floats:
        """As `Client.score`."""
        return await self._ask(self._wire.features(features, timeout))

    async def score_arrays(self, dense: Floats, ids: Int64s, timeout: float | None = None) -> Floats:
        """As `Client.score_arrays`."""
        if self._wire.model is None:
            self._wire.model = self._wire.only_model(await self._http.get("/v1/models"))
        return await self._ask(self._wire.arrays(dense, ids, timeout))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, request: _Request) -> Floats:
        retries = self._wire.retries()
        while True:
            outcome: Outcome
            try:
                outcome = await self._http.post(request.path, headers=request.headers, content=request.content)
            except httpx.TransportError as error:
                outcome = error
            if (pause := self._wire.pause(outcome, retries)) is None:
                return self._wire.scores(_answered(outcome))
            await asyncio.sleep(pause)


def _bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"authorization": f"Bearer {key}"}


def _answered(outcome: Outcome) -> httpx.Response:
    if isinstance(outcome, httpx.TransportError):
        raise outcome
    return outcome


def _of_a_proxy(response: httpx.Response) -> bool:
    """Whether something in front of the server says that it got no answer: an error of the server's is a sentence."""
    return response.status_code >= 500 and _sentence(response) is None


def _sentence(response: httpx.Response) -> str | None:
    """What the server says is wrong, None if it is not the server that speaks."""
    try:
        return str(orjson.loads(response.content)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
