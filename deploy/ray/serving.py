"""Thimble as a Ray Serve deployment: `serve run deploy/ray/serve.yaml`.

A replica is the application of thimble-serve in a process of its own; Ray's proxies take the place of its HTTP server.
What is served of which model is said by `user_config`, so that Ray brings all replicas to it, also those to come.
"""

import logging
from pathlib import Path
from typing import Any

import orjson
from ray import serve
from starlette.types import ASGIApp

from thimble.service.engine.engine import check_runtime
from thimble.service.errors import RequestError
from thimble.service.http.access import AccessLog
from thimble.service.http.activity import ActivityAnswers
from thimble.service.http.app import create_app
from thimble.service.http.keys import Keys
from thimble.service.http.scoring import Scoring
from thimble.service.releases import release
from thimble.service.releases.registry import Registry
from thimble.service.releases.release import FOLLOW_NEWEST, Release, ReleaseError
from thimble.service.releases.repository import Repository, StoreError
from thimble.service.settings import Settings
from thimble.service.telemetry import logs

# Who has changed what is served.
USER_CONFIG = "user_config"
log = logging.getLogger("thimble")


class Releases(Repository):
    """A repository of which `wanted` says what is served. A model that it does not name follows its newest version."""

    def __init__(self, folder: Path) -> None:
        """StartupError: there is no such folder."""
        super().__init__(folder)
        self.wanted: dict[str, Release] = {}

    def models(self) -> list[str]:
        return sorted({*super().models(), *self.wanted})

    def release(self, model: str) -> Release:
        return self.wanted.get(model, FOLLOW_NEWEST)

    def check_writable(self) -> None:
        """StoreError: one replica cannot decide for all."""
        raise StoreError("what is served is said by user_config of the Ray Serve deployment, and by nothing else")


def releases_of(user_config: dict[str, Any]) -> dict[str, Release]:
    """Releases by model, each in the form of a release.json. ReleaseError: one of them is none."""
    found = {}
    for model, wanted in user_config.items():
        try:
            found[model] = release.parsed(orjson.dumps(wanted))
        except ReleaseError as error:
            raise ReleaseError(f"user_config, {model}: {error}") from None
    return found


class Thimble:
    """One replica. Its settings are the variables THIMBLE_* of its environment."""

    def __init__(self) -> None:
        """StartupError."""
        settings = Settings()
        logs.configure(settings.log_format)
        check_runtime()
        self._repository = Releases(settings.repository)
        self._registry = Registry(settings, self._repository)
        access_log = AccessLog(settings.log_probes) if settings.access_log else None
        keys = Keys(settings)
        scoring = Scoring(self._registry.catalogue, settings, keys, access_log)
        self._app = create_app(self._registry, scoring, settings, ActivityAnswers(self._registry, keys))
        self._serves = False

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self._app

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Serve what is wanted; Ray calls this first in a new replica, and in the others when it changes.

        A replica that serves goes on with what it has where it cannot get what is wanted: an error would have Ray
        replace it by one that cannot get it either. StartupError, ReleaseError: a new replica cannot.
        """
        try:
            await self._follow(releases_of(user_config))
        except ReleaseError as error:
            if not self._serves:
                raise
            log.error("refused, what was served goes on: %s", error)

    async def _follow(self, wanted: dict[str, Release]) -> None:
        concerned = {**self._repository.wanted, **wanted}
        self._repository.wanted = wanted
        if not self._serves:
            await self._registry.load()
        following = self._registry.changes.following
        problems = [problem for model in concerned if (problem := await following.reconcile(model, USER_CONFIG))]
        if problems:
            raise ReleaseError("; ".join(problems))
        self._serves = True

    def check_health(self) -> None:
        """RuntimeError: this replica cannot answer, and is to be replaced."""
        try:
            self._registry.catalogue.check_ready()
        except RequestError as error:
            raise RuntimeError(error.message) from None

    def __del__(self) -> None:
        self._registry.close()


deployment = serve.deployment(serve.ingress()(Thimble), user_config={})
app = deployment.bind()
