"""What a server serves, as it says itself."""

import json
import os
import urllib.error
import urllib.request
from typing import Any

from pydantic import BaseModel

from thimble.models.inputs import ValueKind
from thimble.models.spec import Precision

MODELS = "/v1/models"
DESCRIPTION = "/openapi.json"
KEY = "THIMBLE_KEY"
GET_SECONDS = 10


class LoadError(Exception):
    """Why there can be no load test, in one sentence."""


class Feature(BaseModel):
    """A feature, and how its values are written."""

    name: str
    kind: ValueKind


class Served(BaseModel):
    """A model being served, and a golden row of it with the score that it must have."""

    name: str
    version: int
    precision: str
    features: list[Feature]
    golden: dict[str, int | float | str | None]
    golden_score: float

    @property
    def tolerance(self) -> float:
        """How far a golden row's score may be off, as the server holds its own files to it."""
        return Precision(mlps="int8" if "int8" in self.precision else "fp32").golden_tolerance


def served(url: str, model: str | None = None) -> tuple[Served, dict[str, Any]]:
    """The model of that name, or the only one, and all that the server says of it. LoadError: there is none."""
    live = [entry for entry in get(url, MODELS) if entry["part"] == "live"]
    described = [entry for entry in live if model in (None, entry["name"])]
    if not described:
        raise LoadError(f"{url} serves no model {model}" if model else f"{url} serves no model")
    if len(described) > 1:
        raise LoadError(f"{url} serves several models, name one: {', '.join(entry['name'] for entry in described)}")
    entry = described[0]
    operation = get(url, DESCRIPTION)["paths"][f"/v1/models/{entry['name']}/score"]["post"]
    row = operation["requestBody"]["content"]["application/json"]["example"]["features"]
    (score,) = operation["responses"]["200"]["content"]["application/json"]["example"]["scores"]
    return Served(**entry, golden=row, golden_score=score), entry


def get(url: str, path: str) -> Any:
    """The JSON at a path. LoadError: there is none."""
    if not url.startswith(("http://", "https://")):
        raise LoadError(f"{url} is no URL of a server, such as http://127.0.0.1:8000")
    request = urllib.request.Request(url + path, headers=authorization())  # noqa: S310 - the caller's own server
    try:
        with urllib.request.urlopen(request, timeout=GET_SECONDS) as response:  # noqa: S310
            return json.load(response)
    except urllib.error.HTTPError as error:
        key = f"; an API key is taken from {KEY}" if error.code in (401, 403) else ""
        raise LoadError(f"{url}{path} answered {error.code}{key}") from None
    except urllib.error.URLError as error:
        raise LoadError(f"no server answers at {url}: {error.reason}") from None
    except (OSError, ValueError) as error:
        raise LoadError(f"{url}{path} has no JSON: {error}") from None


def authorization() -> dict[str, str]:
    """The header that carries the API key, where there is one in the environment."""
    key = os.environ.get(KEY)
    return {"Authorization": f"Bearer {key}"} if key else {}
