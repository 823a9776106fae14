"""A version that gives no usable scores."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from testing.conditions import until
from testing.servers import Server
from tests.service.releases.operator import (
    KEY,
    SPOILED_ABOVE,
    answers,
    bring,
    children,
    crowd,
    end_sandbox,
    metric,
    put,
    score,
    serving,
    state,
)


def test_a_canary_that_gives_no_scores_is_taken_out_and_nobody_notices(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client), crowd(server) as others:
        bring(repository, versions, 4)
        assert put(client, canary={"version": 4, "weight": 0.5}).json()["canary"] == {"version": 4, "weight": 0.5}
        found = {answers(client) for _ in range(40)}
        assert found == {1, 4}
        while state(client)["canary"]:
            for response in others.offend():
                assert (response.status_code, response.json()["version"]) == (200, 1)
        server.wait_for_line("version 4 of m gives no usable scores and is taken out")
        assert {answers(client) for _ in range(20)} == {1}
        assert metric(client, "thimble_unusable_rows_total", version="4") >= 12
        assert metric(client, "thimble_release_changes_total", outcome="rolled_back") == 1
        server.wait_for_line(r"m: version 1 answers now, version 1 with canary 4 \(0.5\) before, by the server itself")
    kept = json.loads((repository / "m/release.json").read_text())
    assert (kept["live"], kept["taken_out"], "canary" in kept) == (1, [4], False)


def test_a_live_version_that_gives_no_scores_is_rolled_back_and_nobody_notices(
    repository: Path, versions: Path
) -> None:
    with serving(repository) as (server, client), crowd(server) as others:
        bring(repository, versions, 4)
        assert put(client).json()["live"] == 4
        response = score(client, 2 * SPOILED_ABOVE)
        assert (response.status_code, response.json()["version"]) == (200, 1)
        assert answers(client) == 4  # one freak row is no reason
        while state(client)["live"] == 4:
            for response in others.offend():
                assert (response.status_code, response.json()["version"]) == (200, 1)
        assert answers(client) == 1
        server.wait_for_line("version 4 of m gives no usable scores and is taken out")
        assert client.get("/readyz").status_code == 200
        assert (state(client)["standby"], state(client)["taken_out"]) == ([], [4])
        back = client.post("/v1/models/m/rollback", headers=KEY)  # asked for by somebody who was a moment late
        assert (back.status_code, back.json()["error"]) == (409, "there is no version of m to go back to from 1")
        assert answers(client) == 1


@contextmanager
def held_up(server: Server) -> Iterator[None]:
    """A sandbox process that was just asked for, and starts, gets no further for as long as this lasts."""
    until(lambda: bool(children(server)))
    (process,) = children(server)
    process.suspend()
    yield
    process.resume()


def test_a_version_is_taken_out_while_another_is_being_loaded(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client), crowd(server) as others, ThreadPoolExecutor(1) as pool:
        bring(repository, versions, 2, 4)
        assert put(client, live=4).status_code == 200
        end_sandbox(server)
        release = pool.submit(put, client, live=2, also=[4])
        with held_up(server):
            until(lambda: others.offend() and answers(client) == 1)
        assert release.result().status_code == 409
        assert "was taken out meanwhile, so ask again" in release.result().json()["error"]
        assert answers(client) == 1
        assert put(client, live=2).json()["live"] == 2


def test_a_version_that_appears_does_not_undo_what_was_taken_out_meanwhile(repository: Path, versions: Path) -> None:
    with serving(repository, "--poll-s", "0.1") as (server, client), crowd(server) as others:
        bring(repository, versions, 4)
        until(lambda: answers(client) == 4)
        end_sandbox(server)
        shutil.copytree(versions / "2", repository / "m/5")
        with held_up(server):
            until(lambda: others.offend() and answers(client) == 1)
        content = (versions / "3/model.onnx").read_bytes()
        stored = client.put("/v1/models/m/versions/6", content=content, headers=KEY)  # waits for its turn
        assert stored.status_code == 200
        assert answers(client) == 1 and state(client)["live"] == 1
