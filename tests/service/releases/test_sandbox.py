"""The sandbox process, by itself and as a server starts it."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from itertools import count, filterfalse, islice
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from testing.conditions import until
from tests.service.releases.operator import KEY, metric, put, score, serving
from thimble.service.errors import UnavailableError
from thimble.service.releases.sandbox.host import DESCRIPTORS, EndedError, Sandbox
from thimble.service.releases.sandbox.messages import Task

TASK = Task(path=Path("m/1/model.onnx"), max_model_bytes=1, device="cpu", threads=1, batch_rows=1, ops_library=None)
each_loop = pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
Run = Callable[[Coroutine[Any, Any, None]], None]


@each_loop
def test_a_process_that_ended_before_it_was_asked_says_how(run: Run) -> None:
    """uvloop refuses to write to a pipe that was closed; asyncio writes and forgets."""

    async def ended() -> None:
        sandbox = await Sandbox.start()
        sandbox.end()
        await sandbox.ending()
        with pytest.raises(EndedError, match=r"m/1/model\.onnx: the process that loaded it was killed by SIGKILL$"):
            await sandbox.verify(TASK)

    run(ended())


@each_loop
def test_what_a_process_said_last_is_told_with_how_it_ended(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.exit('first\\nno such thing\\n')")

    async def ended() -> None:
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        sandbox = await Sandbox.start()
        with pytest.raises(EndedError, match=r"the process that loaded it ended with status 1 \(no such thing\)$"):
            await sandbox.verify(TASK)

    run(ended())


def limit_with(spare: int) -> int:
    """The number below which so many descriptors are free. Other tests may have left gaps among those that are open."""
    return next(islice(filterfalse(is_open, count()), spare, None))


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@each_loop
def test_a_start_that_fails_for_want_of_descriptors_leaves_none_open(run: Run) -> None:
    async def started() -> bool:
        try:
            sandbox = await Sandbox.start()
        except UnavailableError as error:
            assert str(error) == "no sandbox process can be started: Too many open files"
            return False
        sandbox.end()
        await sandbox.ending()
        return True

    async def start() -> None:
        assert await started()  # what is opened once is open from now on
        process = psutil.Process()
        known = process.children()  # such as the servers of other tests
        (soft, hard), before = process.rlimit(psutil.RLIMIT_NOFILE), process.num_fds()
        outcomes = set()
        for spare in range(1, 1 + 2 * DESCRIPTORS):  # with none at all the interpreter itself aborts
            process.rlimit(psutil.RLIMIT_NOFILE, (limit_with(spare), hard))
            try:
                outcomes.add(await started())
            finally:
                process.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))
        await asyncio.to_thread(until, lambda: {*process.children()} <= {*known})
        assert outcomes == {False, True} and process.num_fds() <= before

    run(start())


def test_modules_in_the_folder_of_a_server_are_none_of_its_own(
    repository: Path, versions: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("models")
    for path in ("models.py", "service.py", "thimble.py", "export/__init__.py"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text("raise ImportError('not this one')")
    with serving(repository, cwd=folder) as (_, client):
        content = (versions / "2/model.onnx").read_bytes()
        pushed = client.put("/v1/models/m/versions/2", content=content, headers=KEY)
        assert pushed.status_code == 200, pushed.text
        assert put(client, shadow={"version": 2}).json()["shadow"]["running"]
        assert score(client).status_code == 200
        until(lambda: metric(client, "thimble_shadow_rows_total", version="2", outcome="scored") == 1)
