"""What it takes to add an architecture: its sizes and numpy reference in one class, its torch module in another."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from testing.samples import criteo_spec, random_batch
from thimble.export.artifact.agreement import prove
from thimble.export.artifact.graph import build
from thimble.export.artifact.precision import lower_mlps
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.training.checkpoint import load_trained
from thimble.export.training.recipe import Recipe
from thimble.export.training.train import train
from thimble.models.architectures.base import AskedSizes, BaseArchitecture
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.hashing import Floats
from thimble.models.nn import registry
from thimble.models.nn.dlrm import DLRM
from thimble.models.nn.embeddings import sparse_arch
from thimble.models.nn.recommender import Recommender
from thimble.models.schemes.base import Weights
from thimble.models.spec import ModelSpec, Precision


class SumArchitecture(BaseArchitecture):
    """An architecture that this test adds: a linear layer over the sum of the embeddings, numbers left out."""

    kind: Literal["sum"] = "sum"
    width: int

    takes: ClassVar = frozenset({"over_arch"})

    @classmethod
    def create(cls, asked: AskedSizes) -> Self:
        return cls(width=(asked.over_arch or [6])[0])

    def check(self, numbers: int, embedding_dim: int) -> None:
        pass

    def logits(self, weights: Weights, tensors: Mapping[str, Floats], embeddings: Floats) -> Floats:
        x = embeddings.sum(axis=1)
        for name in ("first", "second", "last"):
            x = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        return np.asarray(x[:, 0] + 0 * np.nan_to_num(tensors["dense"])[:, 0])

    @property
    def float_layers(self) -> frozenset[str]:
        return frozenset({"last"})

    def __str__(self) -> str:
        return str(self.width)


class SumSpec(ModelSpec):
    """As if it were registered."""

    architecture: SumArchitecture  # type: ignore[assignment]


class SumNet(Recommender):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        assert isinstance(spec, SumSpec)
        width = spec.architecture.width
        self.sparse_arch = sparse_arch(spec)
        self.first = nn.Linear(spec.embedding_dim, width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, 1)

    @property
    def last_layer(self) -> nn.Linear:
        return self.last

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        logits: Tensor = self.last(self.second(self.first(self.sparse_arch(ids).sum(1))))
        return logits.squeeze(1) + 0 * dense.nan_to_num()[:, 0]


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch) -> SumSpec:
    monkeypatch.setattr(registry, "MODULES", {SumArchitecture: SumNet})
    return SumSpec.model_validate({**criteo_spec().model_dump(), "architecture": SumArchitecture(width=6)})


def test_a_new_architecture_is_exported_and_proven(spec: SumSpec, tmp_path: Path) -> None:
    model = registry.recommender(spec).eval()
    onnx.save_model(build(spec, model), tmp_path / "model.onnx")
    assert prove(tmp_path / "model.onnx", spec, model, random_batch(spec, 8)).rows == 16


def test_the_architecture_says_which_layers_stay_in_float32(spec: SumSpec) -> None:
    spec = spec.model_copy(update={"precision": Precision(mlps="int8")})
    model = lower_mlps(build(spec, registry.recommender(spec).eval()), spec, [random_batch(spec, 64)])
    weights = {tensor.name: tensor.data_type for tensor in model.graph.initializer if "weight" in tensor.name}
    assert weights["dlrm.last.weight"] == onnx.TensorProto.FLOAT
    integers = [name for name, kind in weights.items() if kind == onnx.TensorProto.INT8]
    assert {name.split(".")[1] for name in integers} == {"first", "second"}


def test_of_a_dlrm_the_first_and_the_last_layer_stay() -> None:
    assert DlrmArchitecture(dense_arch=[8, 4], over_arch=[9, 9, 1]).float_layers == {"dense_arch.0", "over_arch.4"}


class Biased(DLRM):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        logits: Tensor = super().forward(dense, ids) + self.bias
        return logits


def test_all_parts_of_a_new_architecture_are_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run reads its spec again from JSON, so here the new architecture is a DLRM with one part more."""
    monkeypatch.setattr(registry, "MODULES", {DlrmArchitecture: Biased})
    spec = criteo_spec()
    source = GeneratedClicks(spec, 1500, 0)
    torch.manual_seed(0)
    train(spec, Parts(Rows(source, 0, 1000), Rows(source, 1000, 1500)), Recipe(batch_size=256), tmp_path)
    trained = load_trained(tmp_path).dlrm
    assert isinstance(trained, Biased) and float(trained.bias.detach()) != 0
