"""What a server serves, as it says itself."""

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from thimble.loadtests.traffic.direct import open_url
from thimble.models.bags import Bag
from thimble.models.inputs import ValueKind
from thimble.models.spec import Precision

MODELS = "/v1/models"
DESCRIPTION = "/openapi.json"
KEY = "THIMBLE_KEY"
GET_SECONDS = 10
# What no form of a request but JSON can carry in a value.
_BREAKS = re.compile(r"[\t\r\n]")

Single = int | float | str | None
Value = Single | list[Single]
"""Of a feature in a row; a list is a bag."""


class LoadError(Exception):
    """Why there can be no load test, in one sentence."""


class _KeyError(LoadError):
    """A key is needed, and none or another was brought."""


class Feature(BaseModel):
    """A feature, and how its values are written; with a `bag` a row has several."""

    name: str
    kind: ValueKind
    bag: Bag | None = None


class Known(BaseModel):
    """A row whose score is known: the model's file says it if the row is `golden`, and else the server does.

    Of a model of several answers it is the first one's.
    """

    row: dict[str, Value]
    score: float
    golden: bool


class Served(BaseModel):
    """A model being served, and a row of it with the score that it must have."""

    name: str
    version: int
    precision: str
    features: list[Feature]
    outputs: list[str] = ["score"]
    known: Known

    @property
    def tolerance(self) -> float:
        """How far the known row's score may be off, as the server holds its own files to it."""
        mlps = self.precision.removesuffix(" MLPs").split()[-1]  # "fp16 embeddings, int8 MLPs", or one word for both
        return Precision(mlps="int8" if mlps == "int8" else "fp32").golden_tolerance


def served(url: str, model: str | None = None) -> tuple[Served, dict[str, Any]]:
    """The model of that name, or the only one, and all that the server says of it. LoadError: there is none."""
    live = [entry for entry in get(url, MODELS) if entry["part"] == "live"]
    described = [entry for entry in live if model in (None, entry["name"])]
    if not described:
        raise LoadError(f"{url} serves no model {model}" if model else f"{url} serves no model")
    if len(described) > 1:
        raise LoadError(f"{url} serves several models, name one: {', '.join(entry['name'] for entry in described)}")
    entry = described[0]
    features = [Feature.model_validate(feature) for feature in entry["features"]]
    return Served(**{**entry, "features": features}, known=_known(url, entry["name"], features)), entry


def golden_path(model: str) -> str:
    """Where a server tells the golden rows of a model, to those with a key."""
    return f"/v1/models/{model}/golden"


def _known(url: str, model: str, features: Sequence[Feature]) -> Known:
    """The first golden row that every form of a request can carry; the example in the description without a key.

    LoadError: the server tells neither.
    """
    try:
        golden = get(url, golden_path(model))
    except _KeyError:
        operation = get(url, DESCRIPTION)["paths"][f"/v1/models/{model}/score"]["post"]
        example = operation["requestBody"]["content"]["application/json"]["example"]
        answer = operation["responses"]["200"]["content"]["application/json"].get("example")
        if answer is None:
            raise LoadError(
                f"{url} tells no score of {model} to check answers by; a key, from {KEY}, may help"
            ) from None
        return Known(row=example["features"], score=_first(answer["scores"])[0], golden=False)
    for place, score in enumerate(_first(golden["scores"])):
        row = {feature.name: golden["features"][feature.name][place] for feature in features}
        if all(_has_every_form(feature, row[feature.name]) for feature in features):
            return Known(row=row, score=score, golden=True)
    raise LoadError(f"{url} has no golden row of {model} without a tab or a line end, so none can be sent")


def _has_every_form(feature: Feature, value: Value) -> bool:
    if isinstance(value, list):
        assert feature.bag
        return not any(isinstance(it, str) and (_BREAKS.search(it) or feature.bag.separator in it) for it in value)
    return not (isinstance(value, str) and _BREAKS.search(value))


def _first(scores: list[float] | dict[str, list[float]]) -> list[float]:
    """Those of the first answer."""
    return next(iter(scores.values())) if isinstance(scores, dict) else scores


def get(url: str, path: str) -> Any:
    """The JSON at a path. LoadError: there is none."""
    if not url.startswith(("http://", "https://")):
        raise LoadError(f"{url} is no URL of a server, such as http://127.0.0.1:8000")
    request = urllib.request.Request(url + path, headers=authorization())  # noqa: S310 - the caller's own server
    try:
        with open_url(request, GET_SECONDS) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise _KeyError(f"{url}{path} answered {error.code}; an API key is taken from {KEY}") from None
        if (location := error.headers.get("location")) is not None:
            raise LoadError(f"{url}{path} leads to {location!r}; give the URL that it leads to") from None
        raise LoadError(f"{url}{path} answered {error.code}") from None
    except urllib.error.URLError as error:
        raise LoadError(f"no server answers at {url}: {error.reason}") from None
    except (OSError, ValueError) as error:
        raise LoadError(f"{url}{path} has no JSON: {error}") from None


def authorization() -> dict[str, str]:
    """The header that carries the API key, where there is one in the environment."""
    key = os.environ.get(KEY)
    return {"Authorization": f"Bearer {key}"} if key else {}
