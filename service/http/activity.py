"""What the server did in the last minutes and what has changed meanwhile, as the page at `/` asks for it."""

from typing import Any, Literal

import orjson
import xxhash
from pydantic import BaseModel

from thimble.models.conversions import shown
from thimble.service.background import Background
from thimble.service.errors import RequestError
from thimble.service.http.headers import Headers
from thimble.service.http.keys import Keys
from thimble.service.releases import change_log
from thimble.service.releases.registry import Registry
from thimble.service.telemetry.activity import INTERVAL_SECONDS, LATELY_SECONDS, Activity, Figures
from thimble.service.telemetry.counts import counts

Allowed = Literal["yes", "with an admin key", "no"]


class Rates(BaseModel):
    """A second's requests, rows, and requests by what became of them: `refused` 429, 503 and 504, `invalid` other 4xx,
    `failed` other 5xx. The times of answers are estimated, in milliseconds, and null without one. `queued` rows waited
    at the end."""

    requests: float
    rows: float
    refused: float
    invalid: float
    failed: float
    median_ms: float | None
    p99_ms: float | None
    queued: float


class VersionRates(Rates):
    model: str
    version: str


class History(BaseModel):
    """Samples of all workers, the last one last: of one model or of all, as it was asked for.

    `times` are their ends, in seconds since 1970; `versions` is what each version has done lately that has done
    anything. Memory that workers share is counted for each of them.
    """

    times: list[float]
    rates: list[Rates]
    memory_bytes: list[float | None]
    versions: list[VersionRates]


class ReleaseChange(BaseModel):
    """`by` is who has changed it, null for those who may not know."""

    time: float
    model: str
    message: str
    by: str | None


class ActivityState(BaseModel):
    """What the server did in samples of `interval_s`, `lately_s` being the last of them.

    `served` is another text when something else is served. `fault` is why `/readyz` says no. `changes` says whether who
    asks may change what is served. `releases` are the last changes that this process knows of, the last one first.
    """

    served: str
    fault: str | None
    changes: Allowed
    interval_s: float
    lately_s: float
    history: History
    releases: list[ReleaseChange]


class ActivityAnswers:
    """Answers those who look. What it takes samples of goes on from `start` to `close`."""

    def __init__(self, registry: Registry, keys: Keys) -> None:
        self._activity = Activity(counts())
        self._catalogue = registry.catalogue
        self._changes = registry.changes
        self._keys = keys
        self._background = Background()
        self._started = False
        # of the last sample, by model: whoever looks gets the same
        self._histories: dict[str | None, orjson.Fragment] = {}
        self._written_at = 0.0

    def start(self) -> None:
        """Take samples from now on, if that has not begun yet. For the event loop's thread."""
        if not self._started:
            self._started = True
            self._background.keep_up("activity", self._activity.keep_up)

    def close(self) -> None:
        self._background.close()

    def body(self, model: str | None, headers: Headers) -> bytes:
        """What is told of a model, or of all, to who asks with these headers: an `ActivityState` in JSON.

        RequestError 404: there is no such model.
        """
        if model is not None and model not in self._catalogue.models:
            raise RequestError(404, f"no model {shown(model)} is served")
        self.start()
        allowed = self._allowed(headers)
        told = {
            "served": self._served(),
            "fault": self._fault(),
            "changes": allowed,
            "interval_s": INTERVAL_SECONDS,
            "lately_s": LATELY_SECONDS,
            "history": self._history(model),
            "releases": [
                {**change._asdict(), "by": None if allowed == "with an admin key" else change.by}
                for change in reversed(change_log.RECENT)
            ],
        }
        return orjson.dumps(told)

    def _allowed(self, headers: Headers) -> Allowed:
        if not self._keys.guard_changes:
            return "no"
        try:
            self._changes.stored.changeable()
            self._keys.check_admin(headers)
        except RequestError as error:
            return "with an admin key" if error.status in (401, 403) else "no"
        return "yes"

    def _fault(self) -> str | None:
        try:
            self._catalogue.check_ready()
        except RequestError as error:
            return error.message
        return None

    def _served(self) -> str:
        digest = xxhash.xxh3_64()
        for name, versions in self._catalogue.models.items():
            parts = [(model.version, part) for model, part in versions]
            refused = [*versions.refused]
            digest.update(repr((name, parts, change_log.served(versions), refused)).encode())
        return digest.hexdigest()

    def _history(self, model: str | None) -> orjson.Fragment:
        samples = self._activity.samples
        written_at = samples[-1].time if samples else 0.0
        if written_at != self._written_at:
            self._histories.clear()
            self._written_at = written_at
        if model not in self._histories:
            self._histories[model] = orjson.Fragment(orjson.dumps(self._described(model)))
        return self._histories[model]

    def _described(self, model: str | None) -> dict[str, Any]:
        activity = self._activity
        return {
            "times": [sample.time for sample in activity.samples],
            "rates": [*map(_rates, activity.over_time(model))],
            "memory_bytes": activity.memory(),
            "versions": [
                {"model": name, "version": version, **_rates(found)}
                for (name, version), found in activity.lately().items()
            ],
        }


def _rates(found: Figures) -> dict[str, float | None]:
    return {
        "requests": round(found.requests, 3),
        "rows": round(found.rows, 3),
        "refused": round(found.refused, 3),
        "invalid": round(found.invalid, 3),
        "failed": round(found.failed, 3),
        "median_ms": _milliseconds(found.median),
        "p99_ms": _milliseconds(found.p99),
        "queued": found.queued,
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)
