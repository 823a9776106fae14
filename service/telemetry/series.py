"""Which versions have series: those that are served, and for an hour those that no longer are.

Each version brings more than a hundred of them. Without an end, a month of hourly releases made a scrape take seconds.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from threading import RLock
from typing import TypeVar

from prometheus_client.metrics import MetricWrapperBase

from thimble.service.telemetry.shared_values import Files, Labels

KEPT_SECONDS = 3600.0
Version = tuple[str, str]
"""A model and its version. Without a version: what is counted of the model as a whole."""
Metric = TypeVar("Metric", bound=MetricWrapperBase)
log = logging.getLogger("thimble")


class Series:
    """Knows the series of versions, and drops those of the versions that nobody has served for an hour.

    It may be used from any thread.
    """

    def __init__(self, files: Files | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`files` has them too, where there are several workers. `clock` counts seconds."""
        self._files = files
        self._clock = clock
        self._lock = RLock()
        self._users: dict[Version, set[object]] = defaultdict(set)
        self._ends: dict[Version, float] = {}
        self._children: dict[Version, set[tuple[MetricWrapperBase, tuple[str, ...]]]] = defaultdict(set)

    def child(self, metric: Metric, *labels: str, of: tuple[Version, ...]) -> Metric:
        """A metric with these labels, which ends with any of these versions."""
        with self._lock:
            for version in of:
                self._children[version].add((metric, labels))
                self.mention(version)
            return metric.labels(*labels)

    def mention(self, version: Version) -> None:
        """There are series of a version, whether or not it will ever be served."""
        with self._lock:
            if version not in self._users:
                self._ends.setdefault(version, self._clock() + KEPT_SECONDS)

    def serve(self, version: Version, user: object) -> None:
        """A version is served from now on, as this."""
        with self._lock:
            self._users[version].add(user)
            self._ends.pop(version, None)

    def withdraw(self, version: Version, user: object) -> None:
        """It is no longer."""
        with self._lock:
            self._users[version].discard(user)
            if not self._users[version]:
                del self._users[version]
                self._ends[version] = self._clock() + KEPT_SECONDS

    def take_over(self, name: str) -> None:
        """Go on, in a new process, from the files of one that went by this name; its versions may be gone."""
        if self._files is not None:
            self._files.take_over(name)
            for labels in self._files.labels():
                for version in _versions(labels):
                    self.mention(version)

    def drop_old(self) -> None:
        """Drop the series whose time is over."""
        with self._lock:
            now = self._clock()
            over = [version for version, end in self._ends.items() if end <= now]
            if not over:
                return
            for version in over:
                del self._ends[version]
            known = {*self._users, *self._ends}
            models = {model for model, _ in known}
            for version in [it for it in self._children if it not in known and (it[1] or it[0] not in models)]:
                for metric, labels in self._children.pop(version):
                    metric.remove(*labels)
            if self._files is not None:
                self._drop_from(self._files, known, models)

    def _drop_from(self, files: Files, known: set[Version], models: set[str]) -> None:
        def dropped(labels: Labels) -> bool:
            return any(it not in known and (it[1] or it[0] not in models) for it in _versions(labels))

        try:
            files.drop(dropped)
        except OSError as error:  # they go with the next
            log.error("the series of versions that are gone stay for now: %s", error.strerror)


def _versions(labels: Labels) -> list[Version]:
    """What has to be known for a series to stay."""
    if "model" not in labels:
        return []
    named = [labels[name] for name in ("version", "live") if name in labels]
    return [(labels["model"], version) for version in named or [""]]
