"""The model as it is before the first step."""

import os

import torch

from thimble.export.training.full_tables import set_keys
from thimble.models.hashing import Int64s
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.spec import ModelSpec


def started(spec: ModelSpec, seed: int, device: torch.device, keys: Int64s | None = None) -> Recommender:
    """An untrained model on its device. The same spec and seed give the same weights, and later the same steps.

    `keys` are those of its index, if it has one.
    """
    # without it cuBLAS is not deterministic, and torch refuses to go on
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # the default, but torch warns unless told so
    torch.sparse.check_sparse_tensor_invariants.disable()  # type: ignore[no-untyped-call]
    torch.manual_seed(seed)
    model = recommender(spec)
    if keys is not None:
        set_keys(model, keys)
    return model.to(device)
