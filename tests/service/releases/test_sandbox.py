import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from thimble.service.releases.sandbox.host import EndedError, Sandbox
from thimble.service.releases.sandbox.process import Task


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_process_that_ended_before_it_was_asked_says_how(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    """uvloop refuses to write to a pipe that was closed; asyncio writes and forgets."""

    async def ended() -> None:
        apart = await Sandbox.start()
        apart.end()
        await apart.manner()
        task = Task(
            path=Path("m/1/model.onnx"), max_model_bytes=1, device="cpu", threads=1, batch_rows=1, ops_library=None
        )
        with pytest.raises(EndedError, match=r"m/1/model\.onnx: the process that loaded it was killed by SIGKILL"):
            await apart.verdict(task)

    run(ended())
