"""Follows what changes in a repository, each model by itself: none waits for another's file."""

import asyncio
import logging
from functools import partial

from thimble.service.background import Background
from thimble.service.errors import UnavailableError
from thimble.service.releases.following import Following
from thimble.service.releases.refusals import sentence_of
from thimble.service.releases.repository import Repository, Snapshot
from thimble.service.releases.threads import Threads
from thimble.service.telemetry.metrics import BACKGROUND_FAILURES, LAST_LOOK

# A repository that takes longer for a look has a disk that hangs. There is no second look before the first has ended.
LOOK_SECONDS = 10.0
TASK = "polling"
log = logging.getLogger("thimble")


class Polling:
    """Looks at a repository again and again, and has each model that has changed followed.

    A change counts once two looks have found it: files grow. What fails for want of something is tried again at the
    next look, and is logged once.
    """

    def __init__(self, repository: Repository, following: Following, served: dict[str, Snapshot]) -> None:
        """`served` is what is followed already."""
        self._repository = repository
        self._following = following
        self._served = served
        self._before = served.copy()
        self._busy: set[str] = set()
        self._problems: dict[str, str] = {}
        self._threads = Threads()
        self._background = Background()
        self._last_look = LAST_LOOK.labels(str(repository.folder))

    def start(self, seconds: float) -> None:
        """Look every so many seconds from now on."""
        self._last_look.set_to_current_time()

        async def poll() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self._look()

        self._background.keep_up(TASK, poll)

    def close(self) -> None:
        self._background.close()

    async def _look(self) -> None:
        folder = str(self._repository.folder)
        try:
            now = await self._threads.run(folder, LOOK_SECONDS, self._repository.snapshot)
        except (OSError, UnavailableError) as error:
            self._failed(folder, f"{folder}: {error.strerror}" if isinstance(error, OSError) else str(error))
            return
        self._problems.pop(folder, None)
        self._last_look.set_to_current_time()
        for name, snapshot in now.items():
            if isinstance(snapshot, str):
                self._failed(name, snapshot)
            elif snapshot == self._before.get(name) and snapshot != self._served.get(name):
                self._follow(name, snapshot)
        self._before = now

    def _follow(self, name: str, snapshot: Snapshot) -> None:
        if name not in self._busy:
            self._busy.add(name)
            self._background.keep_up(TASK, partial(self._followed, name, snapshot))

    async def _followed(self, name: str, snapshot: Snapshot) -> None:
        try:
            problem = await self._following.follow(name)
        except Exception as error:  # nothing is wrong with the model, so the next look finds it changed again
            self._failed(name, sentence_of(error))
        else:
            self._problems.pop(name, None)
            self._served[name] = snapshot
            if problem:
                log.error("%s", problem)
        finally:
            self._busy.discard(name)

    def _failed(self, what: str, problem: str) -> None:
        BACKGROUND_FAILURES.labels(TASK).inc()
        if self._problems.get(what) != problem:
            self._problems[what] = problem
            log.error("%s; it is tried again at the next look", problem)
