"""An engine that raises, and scores that are no numbers: what they cost whom."""

import json
import os
import resource
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from testing.artifacts import fill_memory, mark, poison, spoil, write_artifact
from testing.conditions import until
from testing.samples import small_spec
from testing.servers import Server
from tests.service.releases.operator import (
    SPOILED_ABOVE,
    answers,
    children,
    crowd,
    end_sandbox,
    metric,
    put,
    score,
    serving,
    state,
)

POISON = 2 * SPOILED_ABOVE
# Of memory, that a server may still take: enough for all but the model that `fill_memory` makes.
ROOM_BYTES = 24 << 20
CANARY = {"version": 2, "weight": 0.5}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first versions of models, by what is wrong with them."""
    folder, spec = tmp_path_factory.mktemp("models"), small_spec(kinds=("string", "int"))
    for seed, name in enumerate(("good", "poisoned", "hungry", "spoiled", "marked")):
        write_artifact(spec, folder, name, 1, seed=seed)
    poison(folder / "poisoned/1/model.onnx", SPOILED_ABOVE)
    fill_memory(folder / "hungry/1/model.onnx")
    spoil(folder / "spoiled/1/model.onnx", SPOILED_ABOVE)
    (folder / "mark").write_bytes(mark(folder / "marked/1/model.onnx"))
    return folder


def repository_of(models: Path, folder: Path, *kinds: str) -> Path:
    """Has these, in this order, as the versions of `m`, of which the first is live."""
    for version, kind in enumerate(kinds, 1):
        shutil.copytree(models / kind / "1", folder / f"m/{version}")
    (folder / "m/release.json").write_text('{"live": 1}')
    return folder


@contextmanager
def short_of_memory(server: Server) -> Iterator[None]:
    """A server that gets hardly any more memory."""
    process = psutil.Process(server.process.pid)
    before = process.rlimit(resource.RLIMIT_AS)
    process.rlimit(resource.RLIMIT_AS, (process.memory_info().vms + ROOM_BYTES, before[1]))
    yield
    if process.is_running():
        process.rlimit(resource.RLIMIT_AS, before)


def ready(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200


def test_rows_on_which_the_engine_raises_cost_nobody_else_anything(models: Path, tmp_path: Path) -> None:
    with serving(repository_of(models, tmp_path, "good", "poisoned")) as (server, client):
        assert put(client, live=2).status_code == 200

        def ask(number: int) -> tuple[int, int]:
            return number, score(client, POISON + number if number % 4 == 0 else number, path).status_code

        for path in ("/v1/score", "/v1/models/m/versions/2/score"):
            with ThreadPoolExecutor(16) as pool:
                found = dict(pool.map(ask, range(1, 1000)))
            failed = {number: status for number, status in found.items() if status != 200}
            # who names no version is answered by the one before
            assert failed == ({} if path == "/v1/score" else {number: 500 for number in found if number % 4 == 0})
        refused = score(client, POISON, "/v1/models/m/versions/2/score")
        assert refused.json() == {"error": "the model fails on these rows, see the server's log"}
        assert (answers(client), ready(client)) == (2, True)
        assert metric(client, "thimble_engine_failures_total", version="2") > 0
        assert metric(client, "thimble_unusable_rows_total", version="2") > 400
        assert sum("failed in version 2 of m" in line for line in server.lines) <= 2  # one in ten seconds
    assert json.loads((tmp_path / "m/release.json").read_text())["live"] == 2


def test_an_engine_that_fails_is_not_ready_and_recovers(models: Path, tmp_path: Path) -> None:
    with serving(repository_of(models, tmp_path, "hungry")) as (server, client):
        assert answers(client) == 1
        with short_of_memory(server):
            refused = score(client)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "the engine fails on every row" in refused.json()["error"]
            reason = client.get("/readyz")
            assert reason.status_code == 503
            assert "the engine of version 1 of m fails and is tried again" in reason.json()["error"]
            assert client.get("/healthz").status_code == 200
        until(lambda: ready(client))
        assert answers(client) == 1
        server.wait_for_line("the engine of version 1 of m scores again")
        assert state(client)["taken_out"] == []


def test_a_process_whose_engine_fails_for_good_ends_and_no_release_changes(models: Path, tmp_path: Path) -> None:
    with serving(repository_of(models, tmp_path, "good", "hungry"), "--log-format", "json") as (server, client):
        assert put(client, live=2).status_code == 200
        written = (tmp_path / "m/release.json").read_bytes()
        with short_of_memory(server):
            assert answers(client) == 1  # the version before, for as long as this one is there
            server.wait_for_line(r'"from":{"live":2,[^}]*},"to":{"live":1,[^}]*},"by":"the server itself"')
            assert not ready(client)
            assert server.wait() == 1
        server.wait_for_line("the engine of version 2 of m fails for good: .*bad_alloc")
    assert (tmp_path / "m/release.json").read_bytes() == written


def test_a_canary_whose_engine_fails_costs_neither_a_request_nor_the_process(models: Path, tmp_path: Path) -> None:
    with serving(repository_of(models, tmp_path, "good", "hungry")) as (server, client):
        assert put(client, live=1, canary=CANARY).status_code == 200
        until(lambda: answers(client) == 2)
        with short_of_memory(server):
            assert {answers(client) for _ in range(20)} == {1}
            server.wait_for_line("the engine of version 2 of m fails")
            assert score(client, path="/v1/models/m/versions/2/score").status_code == 503
            assert ready(client)
        until(lambda: answers(client) == 2)
        assert state(client)["taken_out"] == []


def test_no_client_can_retire_a_version_by_what_it_sends(models: Path, tmp_path: Path) -> None:
    with serving(repository_of(models, tmp_path, "good", "spoiled")) as (server, client), crowd(server, 2) as pair:
        assert put(client, live=2).status_code == 200
        for _ in range(300):
            assert [response.json()["version"] for response in pair.offend()] == [1, 1]
        with crowd(server, 9) as others:  # who all send the same row
            assert {score(it, POISON).status_code for it in others.clients for _ in range(5)} == {200}
        assert answers(client) == 2
        assert not any("gives no finite scores" in line for line in server.lines)


def test_who_names_a_version_is_answered_by_no_other(models: Path, tmp_path: Path) -> None:
    with serving(repository_of(models, tmp_path, "good", "spoiled")) as (_, client):
        assert put(client, live=2).status_code == 200
        refused = score(client, POISON, "/v1/models/m/versions/2/score")
        assert refused.status_code == 500
        assert refused.json() == {"error": "the model gave a score that is not a number"}
        assert score(client, POISON, "/v1/models/m/score").json()["version"] == 1


def test_a_version_before_which_there_is_none_goes_on(models: Path, tmp_path: Path) -> None:
    with serving(repository_of(models, tmp_path, "spoiled")) as (server, client), crowd(server) as others:
        for _ in range(5):
            assert {response.status_code for response in others.offend()} == {500}
        server.wait_for_line("version 1 of m gives no usable scores, and nothing can take its place")
        assert (answers(client), ready(client), state(client)["taken_out"]) == (1, True, [])


def test_a_canary_under_suspicion_gets_no_more_requests_and_nothing_is_written_before_it_is_confirmed(
    models: Path, tmp_path: Path
) -> None:
    with serving(repository_of(models, tmp_path, "good", "spoiled")) as (server, client), crowd(server) as others:
        assert put(client, live=1, canary=CANARY).status_code == 200
        end_sandbox(server)  # the one that verified it
        written = (tmp_path / "m/release.json").read_bytes()
        until(lambda: others.offend() and children(server))
        (sandbox,) = children(server)
        sandbox.suspend()
        assert {answers(client) for _ in range(40)} == {1}
        assert state(client)["canary"] == CANARY and (tmp_path / "m/release.json").read_bytes() == written
        sandbox.kill()
        server.wait_for_line("confirmation failed; it is begun again")
        assert {answers(client) for _ in range(40)} == {1}
        until(lambda: state(client)["taken_out"] == [2])


def spoil_memory(server: Server, numbers: bytes) -> None:
    """Have the first of these numbers be none, wherever the server has them in its memory."""
    process, found = Path("/proc") / str(server.process.pid), 0
    with (process / "mem").open("r+b", 0) as memory:
        for line in (process / "maps").read_text().splitlines():
            addresses, permissions, *_ = line.split()
            if not permissions.startswith("rw"):
                continue
            start, end = (int(address, 16) for address in addresses.split("-"))
            try:
                content = os.pread(memory.fileno(), end - start, start)
            except OSError:
                continue
            at = content.find(numbers[4:])
            while at >= 0:
                os.pwrite(memory.fileno(), np.float32(np.nan).tobytes(), start + at - 4)
                found += 1
                at = content.find(numbers[4:], at + 1)
    assert found


def test_a_process_that_alone_gets_no_scores_ends_and_no_release_changes(models: Path, tmp_path: Path) -> None:
    with serving(repository_of(models, tmp_path, "good", "marked")) as (server, client), crowd(server) as others:
        assert put(client, live=2).status_code == 200
        written = (tmp_path / "m/release.json").read_bytes()
        spoil_memory(server, (models / "mark").read_bytes())
        for _ in range(5):
            assert {response.json()["version"] for response in others.offend()} == {1}
        assert server.wait() == 1
        server.wait_for_line("version 2 of m gives no finite scores in this process, and does in another")
    assert (tmp_path / "m/release.json").read_bytes() == written


def test_the_other_workers_follow_when_a_version_is_taken_out(models: Path, tmp_path: Path) -> None:
    repository = repository_of(models, tmp_path, "good", "spoiled")
    with serving(repository, "--workers", "2") as (server, client), crowd(server, 8) as others:
        assert put(client, live=1, canary=CANARY).status_code == 200
        until(lambda: others.offend() and state(client)["taken_out"] == [2])

        def all_workers_answer_1() -> bool:
            found = set()
            for _ in range(8):
                with httpx.Client(base_url=server.url, timeout=60) as another:
                    found |= {answers(another) for _ in range(4)}
            return found == {1}

        until(all_workers_answer_1)
