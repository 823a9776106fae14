import os
import signal

import pytest

# Models as small as these train fastest on one thread, all the more when cores are shared. Subprocesses inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
# Tests run make of their own, which is not to take itself for a part of the make that runs the tests.
for _variable in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
    os.environ.pop(_variable, None)


def pytest_configure(config: pytest.Config) -> None:
    # what a shell puts in the background ignores it, and so would all that tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        import torch
    except ImportError:  # the serving image has none
        return
    torch.set_num_threads(1)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that are no text are called by their argument alone.

    All processes that share the tests have to find the same ones, and in what is packed there is the time of day.
    """
    binary = isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable())
    return argname if binary else None
