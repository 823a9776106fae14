import os

import pytest

# Models as small as these train fastest on one thread, all the more when cores are shared. Subprocesses inherit it.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_configure(config: pytest.Config) -> None:
    try:
        import torch
    except ImportError:  # the serving image has none
        return
    torch.set_num_threads(1)
