"""What a load test ran on."""

import importlib.metadata
import os
import platform
from pathlib import Path

import psutil
from pydantic import BaseModel

PACKAGES = ("thimble-ctr", "locust", "gevent", "geventhttpclient", "numpy")


class Machine(BaseModel):
    """`cores` are those that this process may use."""

    processor: str
    cores: int
    memory_bytes: int
    system: str


def this_machine() -> Machine:
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        system=platform.platform(),
    )


def versions() -> dict[str, str]:
    """Of Python, and of what the load generator is made of."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
