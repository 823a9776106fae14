"""Memory and processor time of processes, as Linux counts them."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from thimble.loadtests.results.comparison import ProcessMemory

KIB = 1024


def memory(roots: Iterable[int], files: Sequence[Path] = ()) -> ProcessMemory:
    """The processes of these ids and their descendants. `files` are the model's; `cached` is left for others to say."""
    found = ProcessMemory()
    wanted = {str(path.resolve()) for path in files}
    for process in _tree(roots):
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            rollup = _rollup(process.pid)
            found.processes += 1
            found.resident += rollup["Rss"]
            found.proportional += rollup["Pss"]
            found.unique += rollup["Private_Clean"] + rollup["Private_Dirty"]
            found.anonymous += rollup["Pss_Anon"]
            found.file += rollup["Pss_File"]
            if wanted:
                found.mapped += sum(part.pss for part in process.memory_maps() if part.path in wanted)
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """User and system time of the processes of these ids and their descendants."""
    total = 0.0
    for process in _tree(roots):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _tree(roots: Iterable[int]) -> list[psutil.Process]:
    found = []
    for pid in roots:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found += [root, *root.children(recursive=True)]
    return found


def _rollup(pid: int) -> dict[str, int]:
    """Bytes by name."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(value.split()[0]) * KIB for name, _, value in (line.partition(":") for line in lines)}
