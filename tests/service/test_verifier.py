import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from service.apart import Task
from service.verifier import Apart, EndedError


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_process_that_ended_before_it_was_asked_says_how(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    """uvloop refuses to write to a pipe that was closed; asyncio writes and forgets."""

    async def ended() -> None:
        apart = await Apart.start()
        apart.end()
        await apart.manner()
        task = Task(
            path=Path("m/1/model.onnx"), max_model_bytes=1, device="cpu", threads=1, batch_rows=1, ops_library=None
        )
        with pytest.raises(EndedError, match=r"m/1/model\.onnx: the process that loaded it was killed by SIGKILL"):
            await apart.verdict(task)

    run(ended())
