import os
import sys

import psutil
import pytest

from testing.processes import free_port, running

FORKS = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'http.server', sys.argv[1]])"


def test_a_server_is_pinned_weighed_and_stopped_with_its_children() -> None:
    core = max(os.sched_getaffinity(0))
    port = free_port()
    with running([sys.executable, "-c", FORKS, str(port)], port, "/", core=core) as server:
        assert server.address == ("127.0.0.1", port)
        parent = psutil.Process(server.process.pid)
        (child,) = parent.children()
        assert parent.cpu_affinity() == child.cpu_affinity() == [core]
        memory = server.memory()
        assert memory.processes == 2
        assert memory.rss > memory.uss > 1
    assert not parent.is_running()
    assert not child.is_running()


def test_a_server_that_ends_says_why() -> None:
    port = free_port()
    with (
        pytest.raises(RuntimeError, match="no such model"),
        running([sys.executable, "-c", "raise SystemExit('no such model')"], port, "/"),
    ):
        pass
