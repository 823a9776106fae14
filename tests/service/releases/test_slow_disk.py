"""What happens while it takes long to write down what is served."""

import asyncio
import threading
from pathlib import Path

import numpy as np

from tests.service.releases.operator import SPOILED_ABOVE, bring
from thimble.models.features import Batch
from thimble.service.releases.loader import Model
from thimble.service.releases.registry import Registry
from thimble.service.releases.release import Release
from thimble.service.releases.repository import Repository
from thimble.service.settings import Settings


class SlowRepository(Repository):
    """Writes what is served once it is allowed to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun, self.allowed = threading.Event(), threading.Event()

    def keep(self, model: str, wanted: Release) -> None:
        self.begun.set()
        assert self.allowed.wait(30)
        super().keep(model, wanted)


async def opened(repository: SlowRepository) -> Registry:
    registry = Registry(Settings(repository=repository.folder), repository)
    await registry.load()
    return registry


async def begun(repository: SlowRepository) -> None:
    assert await asyncio.to_thread(repository.begun.wait, 30)


def test_requests_go_on_and_a_change_takes_effect_once_it_is_written(repository: Path, versions: Path) -> None:
    async def change() -> None:
        bring(repository, versions, 2)
        slow = SlowRepository(repository)
        registry = await opened(slow)
        changing = asyncio.create_task(registry.changes.release("m", Release(live=1)))
        await begun(slow)
        assert registry.catalogue.find().version == 2
        slow.allowed.set()
        await changing
        assert registry.catalogue.find().version == 1 and slow.release("m").live == 1
        registry.close()

    asyncio.run(change())


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
        assert await registry.changes.reconcile("m") is None
        assert registry.catalogue.find().version == 4
        await spoil(registry.catalogue.find())
        await begun(slow)
        assert registry.catalogue.find().version == 1
        reading = asyncio.create_task(registry.changes.reconcile("m"))
        await asyncio.sleep(0)
        slow.allowed.set()
        assert await reading is None
        assert registry.catalogue.find().version == 1
        assert slow.release("m") == Release(live=1, taken_out=(4,))
        registry.close()

    asyncio.run(take_out())
