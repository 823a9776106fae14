"""The memory that glibc holds for a server whose models come and go."""

import ctypes

_M_ARENA_MAX = -8  # malloc.h


def share_one_arena() -> None:
    """Have threads that start later take memory from where the first one does.

    glibc gives each thread an arena of its own, and what is free in one is of no use to the others: after some releases
    of 10 MB a server held 14 MB more.
    """
    _call("mallopt", _M_ARENA_MAX, 1)


def give_memory_back() -> None:
    """What was freed stays with the process unless the allocator is asked: 80 MB after some releases of 10 MB."""
    _call("malloc_trim", 0)


def _call(function: str, *arguments: int) -> None:
    """Of the C library, if it has it: macOS's and musl have not."""
    found = getattr(ctypes.CDLL(None), function, None)
    if found is not None:
        found(*arguments)
