"""The paths that are told apart. What is routed, described and traced of scoring follows this one table."""

import re
from functools import lru_cache
from typing import NamedTuple

from starlette.types import Scope

from thimble.service import page

SCORE_ROUTES = ("/v1/score", "/v1/models/{model}/score", "/v1/models/{model}/versions/{version}/score")
INFER_ROUTES = ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer")
SCORING_ROUTES = (*SCORE_ROUTES, *INFER_ROUTES)

# What machines ask again and again to see how the server is.
PROBES = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
# The pages on which a key can be entered, and what they are made of.
PAGES = (
    *("/", *(f"/page/{name}" for name in page.FILES)),
    *("/docs", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/openapi.json"),
)
WATCHED = frozenset({*PROBES, "/metrics"})

_PATTERNS = {route: re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route)) for route in SCORING_ROUTES}


class Target(NamedTuple):
    """What a path asks to score with: the model's name and version, where they are given, and in which protocol.

    `route` is the path with placeholders.
    """

    route: str
    model: str | None
    version: str | None
    inference: bool


@lru_cache(64)
def parse(path: str) -> Target | None:
    """What a path asks to score with, None if it is no scoring route."""
    for route, pattern in _PATTERNS.items():
        if match := pattern.fullmatch(path):
            named = match.groupdict()
            return Target(route, named.get("model"), named.get("version"), route in INFER_ROUTES)
    return None


def scores(scope: Scope) -> bool:
    """Whether an HTTP request is to be scored."""
    return scope["method"] == "POST" and parse(scope["path"]) is not None
