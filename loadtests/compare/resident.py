"""What processes weigh, as Linux counts it."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import BaseModel

KIB = 1024


class Memory(BaseModel):
    """Of several processes together, bytes.

    `resident` counts a page once for each process that maps it, `proportional` once in all, `unique` only where no
    other process maps it. `proportional` is `anonymous` (its own) and `file` (pages of files: code, and what is mapped
    of a model); `mapped` is what of `file` belongs to the model's files. `cached` is what of the model's files is in
    the page cache, mapped or not.
    """

    processes: int = 0
    resident: int = 0
    proportional: int = 0
    unique: int = 0
    anonymous: int = 0
    file: int = 0
    mapped: int = 0
    cached: int = 0


def weigh(roots: Iterable[int], files: Sequence[Path] = ()) -> Memory:
    """The processes of these ids and their descendants. `files` are the model's; `cached` is left for others to say."""
    found = Memory()
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
