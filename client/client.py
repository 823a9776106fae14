"""A client for servers of this package: `pip install -e '.[client]'` in a clone.

    with Client("http://127.0.0.1:8000") as client:
        scores = client.score({"I1": 3, "C1": "68fd1e64", "C2": ["80e26c9b", "04cf62df"]})

`AsyncClient` is the same with `async with` and `await`.
"""

import asyncio
import threading
import time
from types import TracebackType
from typing import Self, overload

import httpx
import numpy.typing as npt

from thimble.client import answers
from thimble.client.answers import Outputs
from thimble.client.columns import Features
from thimble.client.connections import CONNECTIONS, LIMITS, async_transport, bearer, server_url, transport
from thimble.client.encoding import Floats
from thimble.client.errors import ThimbleError
from thimble.client.requests import MODELS, Request, Wire
from thimble.client.retries import Outcome, Retries


class Client:
    """Scores rows on a server. Threads may share one; 16 requests are under way at once."""

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
        for `patience` seconds; `wait` is how many seconds to wait for each answer. Neither runs while a request waits
        for its turn. ValueError: `url`, `key` or `version` cannot be right.
        """
        self._wire = Wire(model, version, patience)
        at = server_url(url)
        self._http = httpx.Client(
            base_url=at, timeout=wait, headers=bearer(key), limits=LIMITS, transport=transport(at)
        )
        self._turns = threading.Semaphore(CONNECTIONS)

    @overload
    def score(self, features: Features, timeout: float | None = None, outputs: None = None) -> Floats: ...

    @overload
    def score(self, features: Features, timeout: float | None = None, *, outputs: Outputs) -> dict[str, Floats]: ...

    def score(
        self, features: Features, timeout: float | None = None, outputs: Outputs | None = None
    ) -> Floats | dict[str, Floats]:
        """Click probabilities, float32 [rows]; a scalar is shared by all rows, a list or column has one value a row.

        In a column of a multi-valued feature that value is a list itself, or text with the feature's separator, and
        `{"bag": values}` is shared by all rows. `features` is a mapping of names to values, or a data frame of pandas,
        polars or pyarrow. `timeout` is in seconds: the server refuses what it cannot answer in it. ThimbleError: the
        server refused, or a value cannot be sent. httpx.TransportError: it cannot be reached.

        Of a model of several answers `outputs` names those that are wanted, or says "all": their probabilities come by
        their names.
        """
        request = self._wire.features(features, timeout, outputs)
        return _told(self._ask(request), request.rows, outputs)

    @overload
    def score_arrays(
        self,
        dense: npt.ArrayLike | None = None,
        ids: npt.ArrayLike | None = None,
        timeout: float | None = None,
        outputs: None = None,
    ) -> Floats: ...

    @overload
    def score_arrays(
        self,
        dense: npt.ArrayLike | None = None,
        ids: npt.ArrayLike | None = None,
        timeout: float | None = None,
        *,
        outputs: Outputs,
    ) -> dict[str, Floats]: ...

    def score_arrays(
        self,
        dense: npt.ArrayLike | None = None,
        ids: npt.ArrayLike | None = None,
        timeout: float | None = None,
        outputs: Outputs | None = None,
    ) -> Floats | dict[str, Floats]:
        """The same for rows that are arrays already, which is much faster: dense [rows, numbers], ids [rows, fields].

        A multi-valued field has as many columns as the model takes values of it, filled up with 0. Leave out what the
        model does not have, numbers or fields. Arrays may be of any dtype or layout, but float32 and integers are sent
        fastest. NaN and None in them are missing, and so is an id of 0.
        """
        if self._wire.model is None:
            self._wire.model = answers.only_model(self._ask(MODELS))
        request = self._wire.arrays(dense, ids, timeout, outputs)
        return _told(self._ask(request), request.rows, outputs)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask(self, request: Request) -> httpx.Response:
        retries = Retries(self._wire.patience)
        while True:
            with self._turns:
                began = time.monotonic()
                outcome = self._answer(request)
                took = time.monotonic() - began
            if (pause := self._wire.pause(outcome, took, retries)) is None:
                return _answered(outcome)
            time.sleep(pause)

    def _answer(self, request: Request) -> Outcome:
        method, path, headers, content, _ = request
        try:
            with self._http.stream(method, path, headers=headers, content=content) as response:
                response.read()
        except httpx.TransportError as error:
            return error
        except httpx.DecodingError as error:
            raise ThimbleError(response.status_code, f"an answer that cannot be decompressed: {error}") from None
        return response


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
        self._wire = Wire(model, version, patience)
        at = server_url(url)
        self._http = httpx.AsyncClient(
            base_url=at, timeout=wait, headers=bearer(key), limits=LIMITS, transport=async_transport(at)
        )
        self._turns = asyncio.Semaphore(CONNECTIONS)

    @overload
    async def score(self, features: Features, timeout: float | None = None, outputs: None = None) -> Floats: ...

    @overload
    async def score(
        self, features: Features, timeout: float | None = None, *, outputs: Outputs
    ) -> dict[str, Floats]: ...

    async def score(
        self, features: Features, timeout: float | None = None, outputs: Outputs | None = None
    ) -> Floats | dict[str, Floats]:
        """As `Client.score`."""
        request = self._wire.features(features, timeout, outputs)
        return _told(await self._ask(request), request.rows, outputs)

    @overload
    async def score_arrays(
        self,
        dense: npt.ArrayLike | None = None,
        ids: npt.ArrayLike | None = None,
        timeout: float | None = None,
        outputs: None = None,
    ) -> Floats: ...

    @overload
    async def score_arrays(
        self,
        dense: npt.ArrayLike | None = None,
        ids: npt.ArrayLike | None = None,
        timeout: float | None = None,
        *,
        outputs: Outputs,
    ) -> dict[str, Floats]: ...

    async def score_arrays(
        self,
        dense: npt.ArrayLike | None = None,
        ids: npt.ArrayLike | None = None,
        timeout: float | None = None,
        outputs: Outputs | None = None,
    ) -> Floats | dict[str, Floats]:
        """As `Client.score_arrays`."""
        if self._wire.model is None:
            self._wire.model = answers.only_model(await self._ask(MODELS))
        request = self._wire.arrays(dense, ids, timeout, outputs)
        return _told(await self._ask(request), request.rows, outputs)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, request: Request) -> httpx.Response:
        retries = Retries(self._wire.patience)
        while True:
            async with self._turns:
                began = time.monotonic()
                outcome = await self._answer(request)
                took = time.monotonic() - began
            if (pause := self._wire.pause(outcome, took, retries)) is None:
                return _answered(outcome)
            await asyncio.sleep(pause)

    async def _answer(self, request: Request) -> Outcome:
        method, path, headers, content, _ = request
        try:
            async with self._http.stream(method, path, headers=headers, content=content) as response:
                await response.aread()
        except httpx.TransportError as error:
            return error
        except httpx.DecodingError as error:
            raise ThimbleError(response.status_code, f"an answer that cannot be decompressed: {error}") from None
        return response


def _answered(outcome: Outcome) -> httpx.Response:
    if isinstance(outcome, httpx.TransportError):
        raise outcome
    return outcome


def _told(response: httpx.Response, rows: int, outputs: Outputs | None) -> Floats | dict[str, Floats]:
    return answers.scores(response, rows) if outputs is None else answers.scores_by_output(response, rows)
