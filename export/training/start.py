"""The model as it is before the first step."""

import os

import torch

from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.spec import ModelSpec


def started(spec: ModelSpec, seed: int, device: torch.device) -> Recommender:
    """An untrained model on its device. The same spec and seed give the same weights, and later the same steps."""
    # without it cuBLAS is not deterministic, and torch refuses to go on
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # they also fill all new memory, which nothing here reads before it is written, and that takes a tenth of a step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # the default, but torch warns unless told so
    torch.sparse.check_sparse_tensor_invariants.disable()  # type: ignore[no-untyped-call]
    torch.manual_seed(seed)
    return recommender(spec).to(device)
