"""The log of what is served: a line for each change, with what there is now, what there was before, and who changed it.

A line for machines has `model`, `from`, `to` and `by`. The last changes are also kept, for people to look at.
"""

import logging
import time
from collections import deque
from typing import Any, NamedTuple

from thimble.service.releases.loader import Model
from thimble.service.releases.versions import ModelVersions

# Who has changed what nobody asked for.
ITSELF = "the server itself"
log = logging.getLogger("thimble")


class Change(NamedTuple):
    """What was logged of a model, at a time in seconds since 1970. `message` is without who it was by."""

    time: float
    model: str
    message: str
    by: str


RECENT: deque[Change] = deque(maxlen=200)
"""The last changes that this process has made, the last one last."""

Served = dict[str, Any]
"""What is served of a model: `live` and whether newer versions are followed, and, where there are any, `canary`,
`shadow` and `also` as in a release."""


def served(versions: ModelVersions) -> Served:
    """What is served of a model now."""
    release, shadow = versions.release, versions.shadow
    found: Served = {
        "live": versions.live.version if versions.live else None,
        "following": release.follows,
        "canary": release.canary and release.canary.model_dump(),
        "shadow": shadow and shadow.wanted.model_dump(),
        "also": [*release.also],
    }
    return {role: what for role, what in found.items() if what or role in ("live", "following")}


def changed(name: str, before: Served, after: Served, by: str) -> None:
    """What is served of a model has changed; nothing is said where it has not."""
    if before == after:
        return
    if _in_words(before) != _in_words(after):
        what = f"{_in_words(after)} answers now, {_in_words(before)} before"
    else:
        what = "newer versions are followed now" if after["following"] else "no newer version is followed any more"
    _tell(name, what, by, {"from": before, "to": after})


def failing(versions: ModelVersions, model: Model, again: bool = False) -> dict[str, Any]:
    """The `extra` of a line that says that a version fails, or scores `again`: what is served changes unasked."""
    usual = without = served(versions)
    if model is versions.live:
        other = versions.fallback(model)
        without = {**usual, "live": other and other.version}
    elif model is versions.canary:
        without = {role: what for role, what in usual.items() if role != "canary"}
    before, after = (without, usual) if again else (usual, without)
    if before == after:
        return {"fields": {}}
    what = f"version {model.version} {'scores again' if again else 'fails'}, so {_in_words(after)} answers now"
    RECENT.append(Change(time.time(), versions.name, what, ITSELF))
    return {"fields": {"model": versions.name, "from": before, "to": after, "by": ITSELF}}


def stored(name: str, version: int, by: str) -> None:
    """A version was brought, which changes nothing of what is served."""
    _tell(name, f"version {version} is stored", by, {"stored": version})


def deleted(name: str, version: int, by: str) -> None:
    """A version is gone that was not served."""
    _tell(name, f"version {version} is deleted", by, {"deleted": version})


def _tell(name: str, what: str, by: str, fields: dict[str, Any]) -> None:
    RECENT.append(Change(time.time(), name, what, by))
    log.info("%s: %s, by %s", name, what, by, extra={"fields": {"model": name, **fields, "by": by}})


def _in_words(state: Served) -> str:
    words = "nothing" if state["live"] is None else f"version {state['live']}"
    beside = [
        f"{role} {state[role]['version']} ({state[role][part]:g})"
        for role, part in (("canary", "weight"), ("shadow", "share"))
        if role in state
    ]
    if "also" in state:
        beside.append(f"also {', '.join(map(str, state['also']))}")
    return f"{words} with {', '.join(beside)}" if beside else words
