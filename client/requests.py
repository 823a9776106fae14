"""What both clients share: what they ask, and when they ask again."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

import numpy.typing as npt

from thimble.client.answers import ALL, Outputs
from thimble.client.columns import Features, features_json
from thimble.client.encoding import infer_request
from thimble.client.errors import ThimbleError
from thimble.client.retries import Outcome, Retries, asked_to_wait, may_change
from thimble.client.tensors import request_tensors

JSON = {"content-type": "application/json"}


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    content: bytes
    rows: int


MODELS = Request("GET", "/v1/models", {}, b"", 0)


class Wire:
    """What both clients share: how to ask, and when to ask again."""

    def __init__(self, model: str | None, version: int | None, patience: float) -> None:
        if version is not None and model is None:
            raise ValueError("a version is of a model, so name the model too")
        self.model = model
        self.patience = patience
        self._version = f"/versions/{version}" if version is not None else ""

    def features(self, features: Features, timeout: float | None, outputs: Outputs | None) -> Request:
        path = f"/v1/models/{self._path}/score" if self.model else "/v1/score"
        limit = {} if timeout is None else {"timeout-ms": str(max(round(timeout * 1e3), 1))}
        content, rows = features_json(features, _names(outputs))
        return Request("POST", path, {**JSON, **limit}, content, rows)

    def arrays(
        self, dense: npt.ArrayLike | None, ids: npt.ArrayLike | None, timeout: float | None, outputs: Outputs | None
    ) -> Request:
        tensors = request_tensors(dense, ids)
        headers, content = infer_request(tensors, timeout, _names(outputs))
        rows = next(iter(next(iter(tensors.values())).shape), 0)
        return Request("POST", f"/v2/models/{self._path}/infer", headers, content, rows)

    def pause(self, outcome: Outcome, took: float, retries: Retries) -> float | None:
        """Seconds after which to ask again, None if the outcome stands."""
        return retries.next_pause(took, asked_to_wait(outcome)) if may_change(outcome) else None

    @property
    def _path(self) -> str:
        return quote(self.model or "", safe="") + self._version


def _names(outputs: Outputs | None) -> Sequence[str]:
    """Those that are named to the server, none for all. ThimbleError 400: none are meant."""
    if outputs is None or outputs == ALL:
        return ()
    if isinstance(outputs, str) or not outputs:
        raise ThimbleError(400, f"outputs is {outputs!r}, neither a list of names nor {ALL!r}")
    return outputs
