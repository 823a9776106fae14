from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from thimble.export.artifact.graph import ExportError, with_memory
from thimble.export.artifact.own_module import module_spec, publish_module
from thimble.export.clicks.golden import golden_batch
from thimble.models.bags import Bag, Pooling
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.heads import Head
from thimble.models.inputs import Categorical
from thimble.models.nn import SharedMemory
from thimble.models.quantization import MemoryPrecision
from thimble.models.spec import GoldenFeatures, Precision
from thimble.ops.library import find_native_ops
from thimble.service.engine.artifact import read_artifact
from thimble.service.engine.engine import Engine

FIELDS = [Categorical(name="user", kind="int", rows=50), Categorical(name="city", kind="string", rows=9)]
ROWS: GoldenFeatures = {
    "hour": [3, 7.5, None, 23],
    "user": [1, 2, 3, None],
    "city": ["Köln", "Bonn", None, "Ulm"],
}


class Own(nn.Module):
    """One with all that a module may have: tables, dropout, batch normalisation, a layer in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(50, 4), nn.Embedding(9, 4)])
        self.norm = nn.BatchNorm1d(9)
        hidden = nn.Linear(9, 9)
        self.layers = nn.Sequential(hidden, nn.ReLU(), nn.Dropout(0.5), hidden, nn.ReLU(), nn.Linear(9, 1))

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        embedded = [table(ids[:, f] % table.num_embeddings) for f, table in enumerate(self.tables)]  # type: ignore[operator]
        row = torch.cat([dense.nan_to_num(0), *embedded], dim=1)
        logits: Tensor = self.layers(self.norm(row))[:, 0]
        return logits


def scores_of(module: nn.Module, batch: Batch) -> Floats:
    with torch.inference_mode():
        scores: Floats = module(*map(torch.from_numpy, batch)).sigmoid().numpy()
    return scores


def own() -> Own:
    torch.manual_seed(0)
    module = Own()
    module(torch.rand(64, 1), torch.randint(0, 50, (64, 2)))  # so that the normalisation has seen something
    return module


def test_any_module_is_served_as_it_scores(tmp_path: Path) -> None:
    module = own()
    spec = module_spec("shop", module, ["hour"], FIELDS)
    done = publish_module(module, spec, ROWS, tmp_path)
    assert done.path == tmp_path / "shop" / "1" / "model.onnx"
    assert module.training  # it can be trained on
    batch = golden_batch(spec, ROWS)
    expected = scores_of(module.eval(), batch)
    engine = Engine(read_artifact(done.path, 1 << 20), "cpu", 1)
    np.testing.assert_allclose(engine.score(batch), expected, atol=1e-6)
    assert engine.spec.golden and engine.spec.golden.features == ROWS
    assert engine.spec.embedding_bytes == 4 * 4 * 59


def test_a_model_of_numbers_alone(tmp_path: Path) -> None:
    class Numbers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
            assert ids.shape[1] == 0
            logits: Tensor = self.layer(dense.nan_to_num())[:, 0]
            return logits

    module = Numbers()
    spec = module_spec("numbers", module, ["a", "b"])
    assert publish_module(module, spec, {"a": [1, 2], "b": [3, None]}, tmp_path).path.exists()


class Wrong(nn.Module):
    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer
        self.table = nn.Embedding(50, 4)

    def forward(self, dense: Tensor, ids: Tensor) -> Any:
        return self.answer(self, dense, ids)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda it, dense, ids: it.table(ids[:, 0]).sum(1), "the module fails on an id that it has never seen"),
        (lambda it, dense, ids: dense[:, 0], "the module gives no number for"),
        (lambda it, dense, ids: dense.nan_to_num(), r"must give logits \[4\] for 4 rows, not \[4, 1\]"),
        (lambda it, dense, ids: [1, 2, 3, 4], r"must give logits \[4\] for 4 rows, not list"),
        (lambda it, dense, ids: dense[:, 7], "the module fails on the rows given: IndexError"),
    ],
)
def test_what_clients_could_break_is_refused(tmp_path: Path, answer: Any, message: str) -> None:
    module = Wrong(answer)
    spec = module_spec("shop", module, ["hour"], FIELDS)
    with pytest.raises(ExportError, match=message):
        publish_module(module, spec, ROWS, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_file_has_rows_to_prove_it(tmp_path: Path) -> None:
    module = own()
    spec = module_spec("shop", module, ["hour"], FIELDS)
    with pytest.raises(ExportError, match="no row"):
        publish_module(module, spec, {"hour": [], "user": [], "city": []}, tmp_path)


def test_what_torch_cannot_export_is_said(tmp_path: Path) -> None:
    module = Wrong(lambda it, dense, ids: dense.nan_to_num()[:, 0] * (2 if dense.nan_to_num().sum() > 9 else 1))
    spec = module_spec("shop", module, ["hour"], FIELDS)
    with pytest.raises(ExportError, match=r"^torch\.onnx cannot export the module: .*data-dependent") as caught:
        publish_module(module, spec, ROWS, tmp_path)
    assert "\n" not in str(caught.value)
    assert not [*tmp_path.rglob("model.onnx")]


class Shared(nn.Module):
    """One whose tables are fields of a shared memory, one of them in two places."""

    def __init__(self, memory: SharedMemory) -> None:
        super().__init__()
        self.tables = nn.ModuleDict({name: memory.embedding(name) for name in ("user", "item")})
        self.genres = memory.embedding_bag("genres")
        self.last = nn.Linear(4 * memory.dim + 1, 1)

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        item, history = self.tables["item"](ids[:, 1]), self.tables["item"](ids[:, 2:5]).mean(1)
        row = torch.cat([dense.nan_to_num(), self.tables["user"](ids[:, 0]), item, history, self.genres(ids[:, 5:])], 1)
        logits: Tensor = self.last(row)[:, 0]
        return logits


@pytest.mark.parametrize(
    ("precision", "pooling"), [("fp32", "sum"), ("fp16", "mean"), ("int8", "max"), ("int4", "mean")]
)
def test_a_shared_memory_is_in_the_file_once(tmp_path: Path, precision: MemoryPrecision, pooling: Pooling) -> None:
    fields = [
        Categorical(name="user", kind="int", rows=1000),
        Categorical(name="item", kind="int", rows=1000),
        Categorical(name="history", kind="int", rows=1000, bag=Bag(values=3, pooling="sum")),
        Categorical(name="genres", kind="string", rows=20, bag=Bag(values=4, pooling=pooling)),
    ]
    torch.manual_seed(0)
    memory = SharedMemory.create(fields, dim=8, memory_bytes=100_000, precision=precision)
    nn.init.uniform_(memory.memory, -0.2, 0.2)
    module = Shared(memory)
    spec = module_spec("shop", module, ["hour"])
    assert spec.precision.memory == precision
    rows: GoldenFeatures = {
        "hour": [1, 2, None],
        "user": [1, 2, None],
        "item": [5, 6, None],
        "history": [[1, 2, 3, 4], [], None],
        "genres": [["a", "b"], ["c"], None],
    }
    done = publish_module(module, spec, rows, tmp_path)
    assert done.path.stat().st_size < 130_000
    assert spec.embedding_bytes <= 100_000
    artifact = read_artifact(done.path, 1 << 20)
    random = np.random.default_rng(0)
    dense = random.normal(size=(50, 1)).astype(np.float32)
    ids = random.integers(0, 1 << 60, (50, 9)) * (random.random((50, 9)) < 0.7)
    batch = Batch(dense, ids)
    by_function, by_op = (Engine(artifact, "cpu", 1, native=native) for native in (None, find_native_ops()))
    assert (by_function.lookup, by_op.lookup) == ("function", "native")
    np.testing.assert_array_equal(by_function.score(batch), by_op.score(batch))
    expected = scores_of(with_memory(module, precision), batch)
    np.testing.assert_allclose(by_op.score(batch), expected, atol=1e-6)


def test_fields_are_those_of_the_memory(tmp_path: Path) -> None:
    memory = SharedMemory.create(FIELDS, dim=4, memory_bytes=1000)
    with pytest.raises(ValueError, match="not those of the module's shared memory"):
        module_spec("shop", memory, ["hour"], FIELDS[:1])
    two = nn.ModuleList([memory, SharedMemory.create(FIELDS, dim=4, memory_bytes=1000)])
    with pytest.raises(ExportError, match="2 shared memories"):
        module_spec("shop", two)


class AllAtOnce(nn.Module):
    def __init__(self, memory: SharedMemory, one_by_one: str = "") -> None:
        super().__init__()
        self.memory = memory
        self.one = memory.embedding(one_by_one) if one_by_one else None

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        found: Tensor = self.memory(ids).sum((1, 2))
        return found if self.one is None else found + self.one(ids[:, 0]).sum(1)


def test_all_fields_at_once_are_looked_up_and_pooled_by_one_node(tmp_path: Path) -> None:
    fields = [FIELDS[0], FIELDS[1].model_copy(update={"bag": Bag(values=3, pooling="mean")})]
    memory = SharedMemory.create(fields, dim=4, memory_bytes=1000)
    nn.init.uniform_(memory.memory, -0.2, 0.2)
    rows: GoldenFeatures = {"user": [1, 2], "city": [["Köln", "Bonn"], None]}
    module = AllAtOnce(memory)
    spec = module_spec("shop", module)
    artifact = read_artifact(publish_module(module, spec, rows, tmp_path).path, 1 << 20)
    batch = Batch(np.empty((40, 0), np.float32), np.random.default_rng(0).integers(0, 1 << 60, (40, 4)))
    expected = scores_of(with_memory(module, "int4"), batch)
    for native in (None, find_native_ops()):
        np.testing.assert_allclose(Engine(artifact, "cpu", 1, native=native).score(batch), expected, atol=1e-6)
    both = AllAtOnce(memory, "user")
    with pytest.raises(ExportError, match="in two ways"):
        publish_module(both, module_spec("shop", both), rows, tmp_path)


def test_a_module_of_several_answers(tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 2)

        def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
            logits: Tensor = self.layer(dense.nan_to_num())
            return logits

    heads = [Head(name="click"), Head(name="conversion", given="click")]
    module = Two()
    done = publish_module(module, module_spec("two", module, ["hour"], heads=heads), {"hour": [1, 2]}, tmp_path)
    golden = done.spec.golden
    assert golden is not None
    own = module(torch.tensor([[1.0], [2.0]]), None).sigmoid()
    np.testing.assert_allclose(golden.by_output["click"], own[:, 0].tolist(), atol=1e-6)
    np.testing.assert_allclose(golden.by_output["conversion"], own.prod(1).tolist(), atol=1e-6)
    with pytest.raises(ExportError, match=r"must give logits \[2\] for 2 rows, not \[2, 2\]"):
        publish_module(module, module_spec("two", module, ["hour"]), {"hour": [1, 2]}, tmp_path)


class Beside(nn.Module):
    """Layers that read columns side by side, of which one is written as a product, and one stands in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.product = nn.Parameter(torch.eye(8) + 0.1 * torch.rand(8, 8))
        self.shared = nn.Linear(8, 8)
        self.last = nn.Linear(8, 1)
        self.offset = nn.Parameter(torch.zeros(8))

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        known = dense.nan_to_num()
        row = torch.cat([known, 100 * known], dim=1)
        first = torch.addmm(self.offset, row, self.product)
        again = self.shared(torch.cat([known / 100, known], dim=1))
        logits: Tensor = self.last(torch.tanh(self.shared(first / 100) + again))[:, 0]
        return logits


def test_integer_layers_compute_what_they_computed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Beside()
    spec = module_spec("beside", module, list("abcd"), precision=Precision(mlps="int8"))
    values = np.random.default_rng(0).uniform(-1, 1, (4, 500))
    rows: GoldenFeatures = {name: column.tolist() for name, column in zip("abcd", values, strict=True)}
    done = publish_module(module, spec, rows, tmp_path)
    batch = golden_batch(spec, rows)
    engine = Engine(read_artifact(done.path, 1 << 20), "cpu", 1)
    np.testing.assert_allclose(engine.score(batch), scores_of(module, batch), atol=0.004)
