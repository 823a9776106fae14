"""The caches of this machine's processor."""

from collections.abc import Sequence
from pathlib import Path

from thimble.models.base import Frozen, Positive

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Cache(Frozen):
    """One that holds data."""

    level: Positive
    bytes: Positive


def processor_caches(folder: Path = CACHES) -> list[Cache]:
    """Those that the first core reads data through, as Linux tells them, the nearest first; empty where it does not."""
    found = []
    for entry in folder.glob("index*"):
        try:
            kind, level, size = ((entry / name).read_text().strip() for name in ("type", "level", "size"))
            if kind in ("Data", "Unified"):
                found.append(Cache(level=int(level), bytes=int(size[:-1]) * _UNITS[size[-1]]))
        except (OSError, ValueError, KeyError, IndexError):  # a virtual machine may say less
            continue
    return sorted(found, key=lambda cache: cache.level)


def first_that_holds(caches: Sequence[Cache], size: int) -> Cache | None:
    """The nearest one in which so many bytes have room."""
    return next((cache for cache in caches if cache.bytes >= size), None)
