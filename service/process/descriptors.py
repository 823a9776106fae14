"""How many connections a process may keep open, as the system limits its files."""

import logging
import resource

# For models and what they are loaded with, key files, the log, and the processes that are started beside.
OTHER_FILES = 128
log = logging.getLogger("thimble")


def allow_connections(wanted: int) -> int:
    """Raise the limit of open files as far as is needed, and return how many connections it leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    allowed = max(needed - OTHER_FILES, 1)
    if allowed < wanted:
        log.warning(
            "at most %d connections are kept open instead of %d: the system allows a process %d open files",
            allowed,
            wanted,
            hard,
        )
    return allowed
