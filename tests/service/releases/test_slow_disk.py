"""What happens while it takes long to write down what is served."""

import asyncio
import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from testing.conditions import until
from tests.service.releases.operator import SPOILED_ABOVE, bring, close
from thimble.models.features import Batch
from thimble.models.files import Stamp
from thimble.service.errors import RequestError
from thimble.service.releases import store
from thimble.service.releases.loader import Model
from thimble.service.releases.registry import Registry
from thimble.service.releases.release import Release
from thimble.service.releases.repository import Repository, StoredVersion
from thimble.service.settings import Settings


class SlowRepository(Repository):
    """Writes what is served, and deletes, once it is allowed to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun, self.allowed = threading.Event(), threading.Event()

    def keep(self, model: str, wanted: Release) -> Stamp | None:
        self.begun.set()
        assert self.allowed.wait(30)
        return super().keep(model, wanted)

    def delete(self, model: str, version: int) -> None:
        self.begun.set()
        assert self.allowed.wait(30)
        super().delete(model, version)


class HangingRepository(Repository):
    """Lists versions once it is allowed to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.allowed = threading.Event()
        self.allowed.set()

    def versions(self, model: str) -> dict[int, StoredVersion]:
        assert self.allowed.wait(30)
        return super().versions(model)


async def opened(repository: Repository) -> Registry:
    registry = Registry(Settings(repository=repository.folder), repository)
    await registry.load()
    return registry


async def begun(repository: SlowRepository) -> None:
    assert await asyncio.to_thread(repository.begun.wait, 30)


def test_requests_go_on_and_an_ordinary_change_takes_effect_once_it_is_written(
    repository: Path, versions: Path
) -> None:
    async def change() -> None:
        slow = SlowRepository(repository)
        registry = await opened(slow)
        bring(repository, versions, 2)
        changing = asyncio.create_task(registry.changes.release("m", Release(live=2), "alice"))
        await begun(slow)
        assert registry.catalogue.find().version == 1
        slow.allowed.set()
        await changing
        assert registry.catalogue.find().version == 2 and slow.release("m").live == 2
        await close(registry)

    asyncio.run(change())


def test_a_deletion_that_has_begun_is_not_superseded(
    repository: Path, versions: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bring(repository, versions, 2)
    (repository / "m/release.json").write_text('{"live": 1}')

    async def delete() -> None:
        slow = SlowRepository(repository)
        registry = await opened(slow)
        deleting = asyncio.create_task(registry.changes.stored.delete("m", 2, "alice"))
        await begun(slow)
        unloading = asyncio.create_task(registry.changes.unload("m", "bob"))
        await asyncio.to_thread(until, lambda: registry.catalogue.models["m"].live is None)
        slow.allowed.set()
        await unloading
        await deleting
        assert slow.versions("m").keys() == {1} and "m: version 2 is deleted, by alice" in caplog.text
        await close(registry)

    with caplog.at_level(logging.INFO):
        asyncio.run(delete())


def test_a_rollback_does_not_wait_for_those_who_only_look(repository: Path, versions: Path) -> None:
    async def roll_back() -> None:
        hanging = HangingRepository(repository)
        registry = await opened(hanging)
        bring(repository, versions, 2)
        assert await registry.changes.following.reconcile("m") is None
        hanging.allowed.clear()
        looking = asyncio.create_task(registry.changes.stored.of("m"))
        await asyncio.sleep(0)
        await registry.changes.roll_back("m", "alice")
        assert hanging.release("m").live == 1 and not looking.done()
        hanging.allowed.set()
        await looking
        await close(registry)

    asyncio.run(roll_back())


def test_a_rollback_takes_effect_while_the_disk_hangs_and_is_written_once_it_does_not(
    repository: Path, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WRITE_SECONDS", 0.2)

    async def roll_back() -> None:
        slow = SlowRepository(repository)
        registry = await opened(slow)
        bring(repository, versions, 2)
        assert await registry.changes.following.reconcile("m") is None
        back = asyncio.create_task(registry.changes.roll_back("m", "alice"))
        await begun(slow)
        assert registry.catalogue.find().version == 1
        with pytest.raises(RequestError, match=r"has not answered within 0\.2 s; it is in force, but") as caught:
            await back
        assert caught.value.status == 507
        bring(repository, versions, 3)
        reading = asyncio.create_task(registry.changes.following.follow("m"))
        slow.allowed.set()
        assert await reading is None
        assert registry.catalogue.find().version == 1 and slow.release("m").live == 1
        await close(registry)

    asyncio.run(roll_back())


def test_a_version_is_taken_out_at_once_and_nothing_that_is_read_meanwhile_brings_it_back(
    repository: Path, versions: Path
) -> None:
    async def spoil(model: Model) -> None:
        rows = 12
        batch = Batch(
            np.full((rows, len(model.spec.dense)), 2 * SPOILED_ABOVE, np.float32),
            np.arange(rows * len(model.spec.fields)).reshape(rows, -1),
        )
        for row in range(rows):
            scored = asyncio.Event()

            def done(_: object, scored: asyncio.Event = scored) -> None:
                scored.set()

            model.batcher.submit(batch.part(row, row + 1), None, lambda: False, done, row % 3)
            await scored.wait()

    async def take_out() -> None:
        slow = SlowRepository(repository)
        registry = await opened(slow)
        bring(repository, versions, 4)
        assert await registry.changes.following.reconcile("m") is None
        assert registry.catalogue.find().version == 4
        await spoil(registry.catalogue.find())
        await begun(slow)
        assert registry.catalogue.find().version == 1
        reading = asyncio.create_task(registry.changes.following.reconcile("m"))
        await asyncio.sleep(0)
        slow.allowed.set()
        assert await reading is None
        assert registry.catalogue.find().version == 1
        kept = slow.release("m")
        assert (kept.live, kept.taken_out) == (1, (4,))
        await close(registry)

    asyncio.run(take_out())
