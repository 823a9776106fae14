"""Where scoring requests go: the one place that knows the form of their paths."""

from functools import lru_cache
from typing import NamedTuple

from starlette.types import Scope

SCORE = ("/v1/score", "/v1/models/{model}/score", "/v1/models/{model}/versions/{version}/score")
INFER = ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer")


class Target(NamedTuple):
    """What a path asks to score with: the model's name and version, where they are given, and in which protocol."""

    model: str | None
    version: str | None
    inference: bool

    @property
    def template(self) -> str:
        """The path with placeholders for what a client chooses."""
        given = (self.model is not None) + (self.version is not None)
        return INFER[given - 1] if self.inference else SCORE[given]


@lru_cache(64)
def parse(path: str) -> Target | None:
    """What a path asks to score with, None if it is no scoring route."""
    match path.split("/"):
        case ["", "v1", "score"]:
            return Target(None, None, False)
        case ["", "v1", "models", model, "score"]:
            return Target(model, None, False)
        case ["", "v1", "models", model, "versions", version, "score"]:
            return Target(model, version, False)
        case ["", "v2", "models", model, "infer"]:
            return Target(model, None, True)
        case ["", "v2", "models", model, "versions", version, "infer"]:
            return Target(model, version, True)
    return None


def scores(scope: Scope) -> bool:
    """Whether an HTTP request is to be scored."""
    return scope["method"] == "POST" and parse(scope["path"]) is not None
