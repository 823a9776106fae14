"""A version that is compared and never answers."""

from pathlib import Path

import httpx
import psutil

from testing.conditions import until
from testing.servers import Server
from tests.service.releases.operator import (
    ENV,
    SPOILED_ABOVE,
    answers,
    bring,
    children,
    metric,
    put,
    score,
    serving,
)


def test_a_shadow_is_compared_and_never_answers(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client):
        bring(repository, versions, 4)
        before = score(client).json()
        assert put(client, shadow={"version": 4}).json()["shadow"] == {"version": 4, "share": 1.0, "running": True}
        for _ in range(5):
            assert score(client).json() == before
        until(lambda: metric(client, "thimble_shadow_rows_total", version="4", live="1", outcome="scored") == 5)
        assert metric(client, "thimble_shadow_diverged_rows_total", above="0.0001") == 5
        assert metric(client, "thimble_shadow_difference_total") > 0
        assert score(client, 2 * SPOILED_ABOVE).status_code == 200
        until(lambda: metric(client, "thimble_shadow_rows_total", outcome="not_finite") == 1)
        server.wait_for_line("the shadow, version 4 of m, gave no usable score for 1 rows")
        (process,) = children(server)
        process.suspend()
        assert score(client).json() == before  # a row that it does not live to score
        process.kill()
        server.wait_for_line("the shadow, version 4 of m, was killed by SIGKILL; it is started again in 1 s")
        assert metric(client, "thimble_shadow_rows_total", outcome="dropped") == 1
        assert score(client).json() == before
        until(lambda: metric(client, "thimble_shadow_up", version="4") == 1)
        assert metric(client, "thimble_shadow_crashes_total", version="4") == 1
        assert answers(client) == 1
        assert metric(client, "thimble_shadow_rows_total", outcome="dropped") == 2
        until(lambda: metric(client, "thimble_shadow_rows_total", outcome="scored") == 6)
        assert put(client, live=1).json()["shadow"] is None
        until(lambda: not children(server))


def test_a_shadow_ends_with_its_server(repository: Path, versions: Path) -> None:
    server = Server(repository, "--port", "0", env=ENV)
    _ = server.url
    bring(repository, versions, 2)
    with httpx.Client(base_url=server.url, timeout=60) as client:
        put(client, shadow={"version": 2})
    (process,) = children(server)
    assert "THIMBLE_ADMIN_KEYS" not in process.environ()  # it runs files that came from elsewhere
    server.process.kill()
    server.wait()
    _, alive = psutil.wait_procs([process], timeout=30)
    assert not alive
