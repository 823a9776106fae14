"""What happens to polling when a process lacks what it needs."""

from pathlib import Path

import psutil
import pytest

from testing.conditions import until
from tests.service.releases.operator import answers, bring, metric, serving


# So many more are enough for nothing, or to look at the repository and not to try what is found.
@pytest.mark.parametrize(("spare", "said"), [(0, "Too many open files"), (1, "polling failed"), (4, "polling failed")])
def test_it_goes_on_after_a_want_of_file_descriptors(repository: Path, versions: Path, spare: int, said: str) -> None:
    with serving(repository, "--poll-s", "0.1") as (server, client):
        assert answers(client) == 1
        process = psutil.Process(server.process.pid)
        soft, hard = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + spare, hard))
        bring(repository, versions, 2)
        server.wait_for_line(said)
        process.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))
        until(lambda: answers(client) == 2)
        assert client.get("/readyz").status_code == 200
        assert (metric(client, "thimble_background_failures_total", task="polling") > 0) == (spare > 0)
