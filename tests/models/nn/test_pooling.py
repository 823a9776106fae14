"""Bags in torch: what the embeddings of every scheme are, and what their gradients are."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from testing.lookups import with_hot
from testing.samples import SCHEMES, random_batch, small_spec, with_bags
from thimble.export.training.full_tables import with_rows_for
from thimble.models.bags import Bag, Pooling, widths
from thimble.models.hashing import Floats
from thimble.models.nn.embeddings import FullTables, SparseArch, sparse_arch
from thimble.models.nn.indexed import IndexedTable
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.pooling import pooled_lookup
from thimble.models.quantization import BITS, MemoryPrecision
from thimble.models.spec import ModelSpec

ROWS = 40
FORMS = [*SCHEMES, "indexed", "hot"]
"""The schemes, and what they become once something is known of the ids."""


def spec_of(form: str, precision: MemoryPrecision = "fp32", pooling: Pooling | None = None) -> ModelSpec:
    """Of ids below 12, in bags of every pooling or of one, and a single-valued field."""
    scheme = form if form in SCHEMES else "full" if form == "indexed" else "block"
    spec = with_bags(small_spec(scheme, kinds=("int",) * 4, memory=4000, rows=11, precision=precision))
    if pooling:
        bags = [Bag(values=5, pooling=pooling), Bag(values=1, pooling=pooling), None, Bag(values=2, pooling=pooling)]
        fields = [field.model_copy(update={"bag": bag}) for field, bag in zip(spec.fields, bags, strict=True)]
        spec = spec.model_copy(update={"fields": fields})
    return spec


def arch_of(form: str, spec: ModelSpec) -> tuple[ModelSpec, SparseArch]:
    """With weights that matter."""
    torch.manual_seed(0)
    own = [np.arange(6), np.arange(0), np.arange(1, 9), np.arange(3)]
    if form == "hot":
        spec, keys = with_hot(spec, own)
        arch = sparse_arch(spec)
        assert isinstance(arch, SharedMemory) and arch.hot
        arch.hot.keys.copy_(torch.from_numpy(keys))
    elif form == "indexed":
        spec, lying = with_rows_for(spec, own)
        arch = sparse_arch(spec)
        assert isinstance(arch, IndexedTable) and lying is not None
        arch.keys.copy_(torch.from_numpy(lying))
    else:
        arch = sparse_arch(spec)
    with torch.no_grad():
        for parameter in arch.parameters():
            if parameter.dim():
                parameter.uniform_(-0.3, 0.3)
    return spec, arch


def ids_of(spec: ModelSpec) -> Tensor:
    """Some rows have an empty bag, and some the same id twice."""
    ids = random_batch(spec, ROWS).ids
    ids[ids > 0] = 1 + ids[ids > 0] % 11
    ids[:3] = 0
    return torch.from_numpy(ids)


def by_numpy(spec: ModelSpec, arch: SparseArch, ids: Tensor) -> Floats:
    weights = {name: tensor.numpy(force=True) for name, tensor in arch.state_dict().items()}
    return pooled_lookup(spec.embedding, weights, ids.numpy(), spec.embedding_dim, spec.bags)


def read_one_by_one(spec: ModelSpec, arch: SparseArch, ids: Tensor) -> Tensor:
    """Every id's embedding by the module of the model without bags, then each field's pooled."""
    plain = spec.model_copy(update={"fields": [field.model_copy(update={"bag": None}) for field in spec.fields]})
    alone = sparse_arch(plain)
    alone.load_state_dict(arch.state_dict())
    for name, parameter in arch.named_parameters():
        owner, _, last = name.rpartition(".")
        setattr(alone.get_submodule(owner), last, parameter)
    ends = np.cumsum([0, *widths(spec.bags)])
    pooled = []
    for f, (bag, (start, end)) in enumerate(zip(spec.bags, pairwise(ends), strict=True)):
        of_field = []
        for column in ids[:, start:end].T:
            columns = torch.zeros(len(ids), len(spec.bags), dtype=torch.long)
            columns[:, f] = column
            of_field.append(alone(columns)[:, f])
        read, there = torch.stack(of_field, 1), (ids[:, start:end] != 0).unsqueeze(2)  # [rows, values, dim]
        if bag is None:
            pooled.append(read[:, 0])
        elif bag.pooling == "max":
            largest = torch.where(there, read, -torch.inf).max(1).values
            pooled.append(torch.where(there.any(1), largest, 0))
        else:
            total = torch.where(there, read, 0).sum(1)
            pooled.append(total / there.sum(1).clamp(min=1) if bag.pooling == "mean" else total)
    return torch.stack(pooled, 1)


@pytest.mark.parametrize("pooling", [None, "sum", "mean", "max"])
@pytest.mark.parametrize("form", FORMS)
def test_torch_computes_what_numpy_defines(form: str, pooling: Pooling | None) -> None:
    spec, arch = arch_of(form, spec_of(form, pooling=pooling))
    ids = ids_of(spec)
    found = arch(ids).numpy(force=True)
    expected = by_numpy(spec, arch, ids)
    assert found.shape == (ROWS, 4, 20) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    nothing_summed = [bag is None or bag.pooling == "max" or bag.values == 1 for bag in spec.bags]
    assert found[:, nothing_summed].tobytes() == expected[:, nothing_summed].tobytes()


@pytest.mark.parametrize("precision", ["fp16", "int8", "int4"])
@pytest.mark.parametrize("form", ["block", "hot"])
def test_weights_as_files_hold_them(form: str, precision: MemoryPrecision) -> None:
    spec, arch = arch_of(form, spec_of(form, precision))
    assert isinstance(arch, SharedMemory)
    ids = ids_of(spec)
    if precision == "fp16":
        arch.half()
    else:
        assert arch.quantizer
        trained = arch(ids)
        arch.quantize(arch.quantizer.step.item(), BITS[precision])
        assert torch.equal(arch(ids), trained)  # what is trained is what is stored
    np.testing.assert_allclose(arch(ids).numpy(force=True), by_numpy(spec, arch, ids), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", [None, "sum", "mean", "max"])
@pytest.mark.parametrize(
    ("form", "precision", "sparse"),
    [
        *((form, "fp32", False) for form in FORMS),
        ("block", "fp32", True),
        *(("hot", precision, sparse) for precision in ("int8", "int4") for sparse in (False, True)),
    ],
)
def test_gradients_are_those_of_embeddings_that_are_read_one_by_one(
    form: str, precision: MemoryPrecision, sparse: bool, pooling: Pooling | None
) -> None:
    spec, arch = arch_of(form, spec_of(form, precision, pooling))
    if isinstance(arch, SharedMemory):
        arch.sparse_gradients = sparse
    ids = ids_of(spec)
    upstream = torch.randn(ROWS, 4, 20)
    found, expected = (gradients_of(arch, pooled, upstream) for pooled in (arch(ids), read_one_by_one(spec, arch, ids)))
    assert found.keys() == expected.keys() == dict(arch.named_parameters()).keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient.to_dense(), expected[name].to_dense(), rtol=1e-4, atol=1e-5)


def gradients_of(arch: SparseArch, pooled: Tensor, upstream: Tensor) -> dict[str, Tensor]:
    arch.zero_grad()
    pooled.backward(upstream)  # type: ignore[no-untyped-call]
    return {name: it.grad for name, it in arch.named_parameters() if it.grad is not None}


@pytest.mark.parametrize("pooling", ["sum", "mean", "max"])
@pytest.mark.parametrize("form", ["block", "indexed", "full"])
def test_what_is_no_id_is_neither_read_nor_trained(form: str, pooling: Pooling) -> None:
    _, arch = arch_of(form, spec_of(form, pooling=pooling))
    if isinstance(arch, SharedMemory):
        arch.sparse_gradients = True
    ids = torch.zeros(2, 9, dtype=torch.long)
    gradients = gradients_of(arch, arch(ids), torch.ones(2, 4, 20))
    assert not arch(ids)[:, [0, 1, 3]].any()
    touched = {name: it.coalesce().indices().shape[1] for name, it in gradients.items()}
    alone = {"block": {"memory": 3}, "indexed": {"table.weight": 1}}  # the id 0 of the single-valued field has chunks
    assert touched == alone.get(form, {f"tables.{f}.weight": int(f == 2) for f in range(4)})
    assert arch(ids[:0]).shape == (0, 4, 20)


def test_of_equal_weights_the_first_id_has_the_gradient() -> None:
    _, arch = arch_of("full", spec_of("full", pooling="max"))
    assert isinstance(arch, FullTables)
    for table in arch.tables:
        torch.nn.init.ones_(table.get_parameter("weight"))
    gradients = gradients_of(arch, arch(torch.tensor([[0, 3, 2, 0, 0, 0, 0, 5, 4]])), torch.ones(1, 4, 20))
    assert gradients["tables.0.weight"].to_dense()[:, 0].tolist() == [float(row == 3) for row in range(11)]
    assert gradients["tables.3.weight"].to_dense()[:, 0].tolist() == [float(row == 5) for row in range(11)]
