"""The lookup's function where fields have bags, as every runtime has it that lacks the native operator."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from testing.lookups import STEP, lookup, lookup_model, random_memory, with_hot
from testing.samples import SEVEN_BAGS, SHARED, random_batch, small_spec
from thimble.export.artifact.agreement import lookups_agree, onnx_session, sum_rounding
from thimble.models.bags import MOST_VALUES, Bag
from thimble.models.hashing import ID_LIMIT, Floats, Int64s
from thimble.models.hot_rows import Keys
from thimble.models.spec import ModelSpec

STORED: list[tuple[npt.DTypeLike, int]] = [(np.float32, 32), (np.float16, 16), (np.uint8, 8), (np.uint8, 4)]


def memory_of(spec: ModelSpec, dtype: npt.DTypeLike, bits: int) -> npt.NDArray[Any]:
    memory = random_memory(spec, dtype, bits)
    return np.clip(np.nan_to_num(memory), -4, 4).astype(dtype) if dtype == np.float16 else memory


def assert_as_defined(spec: ModelSpec, memory: npt.NDArray[Any], ids: Int64s, keys: Keys | None = None) -> Floats:
    """Bit for bit where nothing is added up, and up to the rounding of sums."""
    model = lookup_model(spec, memory, keys=keys)
    onnx.checker.check_model(model)
    (found,) = onnx_session(model.SerializeToString()).run(None, {"ids": ids})
    largest = 128 * float(STEP) if memory.dtype == np.uint8 else float(np.abs(memory).max())
    expected = lookup(spec, memory, ids, keys)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert lookups_agree(found + 0, expected + 0, sum_rounding(spec, largest))  # either zero
    return expected


@pytest.mark.parametrize(
    ("scheme", "dtype", "bits"),
    [(scheme, *stored) for scheme in SHARED for stored in STORED if scheme == "block" or stored[1] >= 16],
)
def test_it_pools_as_the_definition_does(scheme: str, dtype: npt.DTypeLike, bits: int) -> None:
    spec = small_spec(scheme, memory=800, bags=SEVEN_BAGS)
    memory = memory_of(spec, dtype, bits)
    for rows in (0, 1, 50):
        assert_as_defined(spec, memory, random_batch(spec, rows).ids)
    for extreme in (0, 1, ID_LIMIT - 1):
        assert_as_defined(spec, memory, np.full((2, spec.inputs[1].width), extreme))


@pytest.mark.parametrize(
    "bags",
    [
        [Bag(values=1, pooling="sum")] * 7,
        [Bag(values=2, pooling="max"), *[None] * 6],
        [*[None] * 6, Bag(values=MOST_VALUES, pooling="mean")],
    ],
)
def test_bags_anywhere_among_the_fields(bags: list[Bag | None]) -> None:
    spec = small_spec(bags=bags)
    assert_as_defined(spec, random_memory(spec), random_batch(spec, 20).ids)


@pytest.mark.parametrize(("dtype", "bits"), STORED)
def test_hot_ids_in_bags(dtype: npt.DTypeLike, bits: int) -> None:
    random = np.random.default_rng(0)
    own = [random.integers(1, ID_LIMIT, 40) for _ in SEVEN_BAGS]
    spec, keys = with_hot(small_spec(memory=800, bags=SEVEN_BAGS), own)
    memory = memory_of(spec, dtype, bits)
    fields = np.repeat(np.arange(7), [bag.values if bag else 1 for bag in SEVEN_BAGS])
    hot = np.stack([random.choice(own[field], 100) for field in fields], axis=1)
    ids = random_batch(spec, 100).ids
    ids = np.where((ids != 0) & (random.random(ids.shape) < 0.5), hot, ids)
    expected = assert_as_defined(spec, memory, ids, keys)
    assert not np.array_equal(lookup(spec, memory, ids, np.full_like(keys, -1)), expected)


def test_of_empty_bags_it_makes_zero() -> None:
    spec = small_spec(bags=SEVEN_BAGS)
    model = lookup_model(spec, random_memory(spec))
    ids = np.zeros((2, spec.inputs[1].width), np.int64)
    (found,) = onnx_session(model.SerializeToString()).run(None, {"ids": ids})
    assert [embedding.any() for embedding in found[0]] == [bag is None for bag in SEVEN_BAGS]
