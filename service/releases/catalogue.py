"""What is served: every model with its versions, and which of them a request is for."""

from collections.abc import Iterator, Mapping

from thimble.service.errors import RequestError
from thimble.service.releases import change_log
from thimble.service.releases.loader import Model
from thimble.service.releases.release import Release
from thimble.service.releases.repository import StoredVersion
from thimble.service.releases.versions import LoadedRelease, ModelVersions
from thimble.service.telemetry import metrics


class Catalogue:
    """The `models` of a server by name, with those that were unloaded or refused.

    `draining`: it is shutting down, and requests should go elsewhere. `faults` say why they should for other reasons, a
    sentence each, by what is at fault. `fatal` is a fault that only a new process can mend: this one ends.
    """

    def __init__(self) -> None:
        self.models: dict[str, ModelVersions] = {}
        self.draining = False
        self.faults: dict[str, str] = {}
        self.fatal: str | None = None

    def __iter__(self) -> Iterator[Model]:
        """Everything that can be asked."""
        for versions in self.models.values():
            for model, _ in versions:
                yield model

    def check_ready(self) -> None:
        """RequestError 503: why requests should go elsewhere."""
        if self.draining:
            raise RequestError(503, "the server is shutting down")
        for reason in (self.fatal, *self.faults.values()):
            if reason is not None:
                raise RequestError(503, reason)
        if not any(versions.live for versions in self.models.values()):
            raise RequestError(503, "no model is loaded")

    def find(self, name: str | None = None, version: str | None = None) -> Model:
        """A model by its name, or the only one, in a version or the live one. RequestError 404: there is none."""
        versions = self._find(name)
        return _loaded(versions, versions.live if version is None else versions.version(version))

    def route(self, name: str | None, version: str | None, headers: Mapping[bytes, bytes]) -> Model:
        """The same for a request to be scored, which goes to the canary if its headers or chance say so."""
        versions = self._find(name)
        return _loaded(versions, versions.pick(headers) if version is None else versions.version(version))

    def fallback(self, model: Model) -> Model | None:
        """What answers instead of a version that could not score; None if nothing does."""
        versions = self.models.get(model.name)
        return None if versions is None else versions.fallback(model)

    def loaded(self, stored: StoredVersion) -> Model | None:
        """What was made of a version on disk, if it can be asked."""
        return next((model for model in self if model.stored == stored), None)

    def is_live(self, model: Model) -> bool:
        """Whether it answers the requests that name no version."""
        return any(versions.live is model for versions in self.models.values())

    def switch(self, versions: ModelVersions, release: Release, loaded: LoadedRelease, by: str) -> None:
        """From now on this is served of a model: the one step in which every change takes effect. It cannot fail.

        `by` is who has changed it, for the log.
        """
        if loaded.canary is None:
            release = release.model_copy(update={"canary": None})
        before, live_before = change_log.served(versions), versions.live
        retired = versions.switch(release, loaded)
        self.models[versions.name] = versions
        for model in retired:
            model.metrics.withdraw()
            model.hold.release()
        for model, _ in versions:
            model.announce()
        metrics.answers(versions.name, loaded.live.version if loaded.live else 0)
        change_log.changed(versions.name, before, change_log.served(versions), by)
        if loaded.live is not live_before:
            metrics.changed(versions.name, "released")

    def _find(self, name: str | None) -> ModelVersions:
        if name is None:
            served = [versions for versions in self.models.values() if versions.live]
            if len(served) == 1:
                return served[0]
            if not served:
                raise RequestError(404, "no model is loaded")
            raise RequestError(404, f"several models are served ({self._served()}), use /v1/models/MODEL/score")
        if name not in self.models:
            raise RequestError(404, f"no model {name[:64]!r} is served; there is {self._served() or 'none'}")
        return self.models[name]

    def _served(self) -> str:
        return ", ".join(f"{model.name} version {model.version}" for model in self)


def _loaded(versions: ModelVersions, model: Model | None) -> Model:
    if model is None:
        raise RequestError(404, f"model {versions.name} is not loaded")
    return model
