"""What the sandbox process may take of the machine.

What uses CUDA has no limits on memory and files: the driver reserves more addresses than there is memory, and keeps
files of its own.
"""

import math
import re
import resource
import sys
import time
from pathlib import Path

from thimble.service.engine.engine import may_use_cuda
from thimble.service.releases.sandbox.messages import Task

# For one file; ONNX Runtime takes some seconds for a large one. A shadow goes on without.
CPU_SECONDS = 300
# To load a file takes three to four times its size; a lookup by standard operators in float32 more.
MEMORY_PER_MODEL_BYTE = 8
# For the interpreter and for batches, and for each of a model's threads.
MEMORY_BYTES, THREAD_BYTES = 256 << 20, 16 << 20
OPEN_FILES = 256
# How ONNX Runtime, C++ and Python say it.
OUT_OF_MEMORY = re.compile(r"bad_alloc|[Ff]ailed to allocate memory|MemoryError")


def confine(task: Task, external_bytes: int = 0) -> None:
    """Limit this process while it tries a file: with external data by so many bytes more, which are mapped."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + CPU_SECONDS)
    if not may_use_cuda(task.device):
        _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
        _limit(resource.RLIMIT_FSIZE, 0)
        _limit(resource.RLIMIT_DATA, _taken() + memory_bytes(task) + external_bytes)


def release_time() -> None:
    """Let this process go on for as long as it is wanted."""
    _limit(resource.RLIMIT_CPU, resource.RLIM_INFINITY)


def memory_bytes(task: Task) -> int:
    """How much a file may take beside its external data."""
    return MEMORY_PER_MODEL_BYTE * task.max_model_bytes + THREAD_BYTES * task.threads + MEMORY_BYTES


def refusal(task: Task, error: Exception) -> str:
    """Why a file is refused, in one sentence; what it was that ran out, if something did."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or OUT_OF_MEMORY.search(str(cause)):
            return (
                f"{task.path}: needs more than the {memory_bytes(task) >> 20} MiB of memory that it may take to be "
                f"verified, which is {MEMORY_PER_MODEL_BYTE} times max_model_bytes and some for the process"
            )
        cause = cause.__context__
    return str(error)


def _taken() -> int:
    """Bytes of memory that this process has already, as RLIMIT_DATA counts them; 0 where that cannot be told."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    except FileNotFoundError:
        return 0


def _limit(kind: int, value: int) -> None:
    """The limit can be raised again, so it holds back a file that goes wrong, not one that breaks out."""
    if sys.platform != "linux":  # other systems count other memory, and refuse some limits
        return
    _, most = resource.getrlimit(kind)
    limits = [it for it in (value, most) if it != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min(limits, default=resource.RLIM_INFINITY), most))
