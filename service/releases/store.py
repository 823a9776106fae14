"""The repository as the event loop reaches it: in threads, each with a time limit, for a disk may be slow or hang.

The way back takes effect before it is written, and it may be that it cannot be. So what is in force may be ahead of the
release.json for a while: it is written as soon as that can be done, and until then the file is out of date, unless
somebody else has written it meanwhile.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from thimble.models.files import Stamp
from thimble.service.background import Background
from thimble.service.engine.artifact import ArtifactError
from thimble.service.errors import UnavailableError
from thimble.service.releases.release import Release
from thimble.service.releases.repository import Repository, StoredVersion, StoreError
from thimble.service.releases.threads import Threads

Result = TypeVar("Result")
Given = TypeVarTuple("Given")

READ_SECONDS = 10.0
# Whoever calls for a way back is not to wait longer to learn that it is not written down.
WRITE_SECONDS = 5.0
# A disk that takes longer for a file that was pushed has failed.
PUSH_SECONDS = 120.0
# Its files are gone as soon as their folder has lost its name, but a large one takes a disk some time.
DELETE_SECONDS = 60.0


class Store:
    """Reads and writes a repository. Of each model what is decided last is written last."""

    def __init__(self, repository: Repository, in_force: Callable[[str], Release]) -> None:
        """`in_force` says what is served of a model, from any thread."""
        self._repository = repository
        self._in_force = in_force
        self._background = Background()
        self._threads, self._listings = Threads(), Threads()
        # Of each model, its release.json as this process has read or written it last.
        self._stamps: dict[str, Stamp | None] = {}
        self._ahead: set[str] = set()
        self._retried: set[str] = set()

    def close(self) -> None:
        self._background.close()

    def check_writable(self) -> None:
        """StoreError: what is served is said elsewhere than in the repository."""
        self._repository.check_writable()

    async def models(self) -> list[str]:
        """All models that have a version or a release. UnavailableError."""
        return await self._look(str(self._repository.folder), self._repository.models)

    async def versions(self, model: str) -> dict[int, StoredVersion]:
        """A model's versions, the newest first. UnavailableError."""
        return await self._look(self._place(model), self._repository.versions, model)

    async def listed(self, model: str) -> dict[int, StoredVersion]:
        """The same for whoever only wants to know: however many ask, nothing that is decided waits for them."""
        return await self._look(self._place(model), self._repository.versions, model, threads=self._listings)

    async def read(self, model: str) -> tuple[Release, dict[int, StoredVersion]]:
        """What is to be served of a model, and its versions. ReleaseError, UnavailableError."""
        return await self._look(self._place(model), self._read, model)

    async def write(self, model: str, release: Release) -> None:
        """Write down what is to be served next. StoreError: it is not written."""
        await self._write(model, lambda: self._keep(model, release))

    async def keep(self, model: str) -> None:
        """Write down what is in force. StoreError: it is not written yet, but will be once that can be done."""
        self.check_writable()
        self.run_ahead(model)
        try:
            await self._write(model, partial(self._keep_in_force, model))
        except StoreError:
            self._write_later(model)
            raise

    def run_ahead(self, model: str) -> None:
        """From now on what is in force is ahead of the file, until that is written by anybody."""
        self._ahead.add(model)

    def fall_back(self, model: str) -> None:
        """From now on what the file says counts."""
        self._ahead.discard(model)

    async def keep_unless_changed(self, model: str) -> None:
        """Write down what is in force, unless somebody else has written meanwhile. StoreError: it is not written."""
        self.check_writable()
        self.run_ahead(model)
        try:
            await self._write(model, partial(self._keep_if_ahead, model))
        except StoreError:
            self.fall_back(model)
            raise

    async def delete(self, model: str, version: int) -> None:
        """Remove a version. BusyError: a process has it loaded. StoreError, UnavailableError."""
        place = f"{self._place(model)}/{version}"
        await self._threads.run(place, DELETE_SECONDS, self._repository.delete, model, version)

    async def push(
        self, model: str, version: int, content: bytes, verify: Callable[[Path], Awaitable[Result]]
    ) -> Result:
        """Have a version verified and put it into the repository. Returns what was found.

        ArtifactError, StoreError, UnavailableError: why it is not there.
        """
        repository, run = self._repository, partial(self._threads.run, f"{self._place(model)}/{version}", PUSH_SECONDS)
        path = await run(repository.receive, model, version, content)
        try:
            found = await verify(path)
            await run(repository.admit, model, version, path)
            return found
        except ArtifactError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise ArtifactError(f"version {version} of {model}: {reason}") from None
        finally:
            await run(repository.drop, path)

    async def _look(
        self, place: str, work: Callable[[*Given], Result], *given: *Given, threads: Threads | None = None
    ) -> Result:
        try:
            return await (threads or self._threads).run(place, READ_SECONDS, work, *given)
        except OSError as error:
            raise UnavailableError(f"{place} cannot be read: {error.strerror}") from None

    async def _write(self, model: str, work: Callable[[], None]) -> None:
        try:
            await self._threads.run(self._place(model), WRITE_SECONDS, work)
        except StoreError:
            raise
        except BaseException as error:  # it may yet be written, when nobody counts on it any more
            self._write_later(model)
            if isinstance(error, UnavailableError):
                raise StoreError(f"what is served of {model} cannot be written: {error}") from None
            raise

    def _write_later(self, model: str) -> None:
        """Write what is in force once more, as often as it takes."""
        self.run_ahead(model)
        if model not in self._retried:
            self._retried.add(model)
            self._background.keep_up("writing", partial(self._retry, model))

    async def _retry(self, model: str) -> None:
        await self._threads.run(self._place(model), None, self._keep_if_ahead, model)
        self._retried.discard(model)

    def _place(self, model: str) -> str:
        return str(self._repository.folder / model)

    # The rest runs in threads, for each model one after the other.

    def _read(self, model: str) -> tuple[Release, dict[int, StoredVersion]]:
        stamp = self._repository.release_stamp(model)
        versions = self._repository.versions(model)
        if model in self._ahead and stamp == self._stamps.get(model):
            return self._in_force(model), versions
        release = self._repository.release(model)
        self._ahead.discard(model)
        self._stamps[model] = stamp
        return release, versions

    def _keep(self, model: str, release: Release) -> None:
        self._stamps[model] = self._repository.keep(model, release)

    def _keep_in_force(self, model: str) -> None:
        release = self._in_force(model)
        self._keep(model, release)
        if release == self._in_force(model):
            self._ahead.discard(model)
        else:  # something else was decided meanwhile, perhaps by another worker, which has written it before
            self._keep_in_force(model)

    def _keep_if_ahead(self, model: str) -> None:
        if model in self._ahead and self._repository.release_stamp(model) == self._stamps.get(model):
            self._keep_in_force(model)
