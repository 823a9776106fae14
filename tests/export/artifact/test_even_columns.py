"""Layers whose inputs differ in size, in integers."""

import numpy as np
import onnx
import torch

from testing.samples import random_batch, small_spec
from thimble.export.artifact.agreement import onnx_scores, onnx_session
from thimble.export.artifact.graph import build
from thimble.export.artifact.precision import lower_mlps
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.spec import ModelSpec, Precision

INT8 = Precision(mlps="int8")


def with_long_vectors(factor: float) -> tuple[ModelSpec, Recommender]:
    """A model whose dense vector is so many times as long, and its weights behind that as many times smaller."""
    plain = small_spec()
    dim = plain.embedding_dim
    widths = DlrmArchitecture(dense_arch=[16, dim], over_arch=[64, 16, 1])
    spec = plain.model_copy(update={"architecture": widths, "precision": INT8})
    torch.manual_seed(0)
    model = recommender(spec).eval()
    weights = model.state_dict()
    weights["sparse_arch.memory"].normal_(0, 1)
    weights["dense_arch.2.weight"].mul_(factor)
    weights["dense_arch.2.bias"].mul_(factor)
    first = weights["over_arch.0.weight"]  # dense vector first, then products, row by row of the triangle
    _, columns = np.tril_indices(len(spec.fields) + 1, -1)
    of_dense = torch.from_numpy(np.concatenate([np.full(dim, True), columns == 0]))
    first[:, of_dense] /= factor
    return spec, model


def error(spec: ModelSpec, model: Recommender) -> float:
    rows = random_batch(spec, 500)
    exact, rounded = (
        onnx_scores(onnx_session(it.SerializeToString()), rows)
        for it in (
            build(spec.model_copy(update={"precision": Precision()}), model),
            lower_mlps(build(spec, model), spec, [rows]),
        )
    )
    return float(np.abs(exact - rounded).mean())


def test_long_vectors_leave_steps_to_products() -> None:
    alike, long = (error(*with_long_vectors(factor)) for factor in (1, 40))
    assert long < 5 * alike  # 7 times without


def test_rows_that_say_nothing_of_a_column_do_no_harm() -> None:
    spec, model = with_long_vectors(1)
    model.state_dict()["dense_arch.2.weight"].zero_()
    model.state_dict()["dense_arch.2.bias"].fill_(-1)
    lowered = lower_mlps(build(spec, model), spec, [random_batch(spec, 20)])
    assert np.isfinite(onnx_scores(onnx_session(lowered.SerializeToString()), random_batch(spec, 50))).all()
    assert sum(node.op_type == "Mul" for node in lowered.graph.node) >= 1
    onnx.checker.check_model(lowered)
