import numpy as np
import pytest

from testing.lookups import lookup, random_memory
from testing.samples import SEVEN_BAGS, random_batch, small_spec
from thimble.export.artifact.agreement import largest_weight, lookups_agree, sum_rounding
from thimble.models.bags import Bag
from thimble.models.hashing import Floats
from thimble.models.schemes.base import Weights
from thimble.models.spec import ModelSpec

SUMMED = [bag is not None and bag.pooling != "max" and bag.values > 1 for bag in SEVEN_BAGS]


def embeddings(spec: ModelSpec) -> Floats:
    return lookup(spec, random_memory(spec), random_batch(spec, 50).ids)


def test_only_what_is_added_up_may_be_rounded_otherwise() -> None:
    spec = small_spec(bags=SEVEN_BAGS)
    rounding = sum_rounding(spec, largest=3)
    assert (rounding > 0).tolist() == SUMMED
    expected = embeddings(spec)
    assert lookups_agree(expected, expected.copy(), rounding)
    for field, summed in enumerate(SUMMED):
        other = expected.copy()
        other[7, field] = np.nextafter(other[7, field], np.float32(9))
        assert lookups_agree(other, expected, rounding) == summed, field


def test_an_id_too_few_is_no_rounding() -> None:
    spec = small_spec(bags=SEVEN_BAGS)
    ids, memory = random_batch(spec, 50).ids, random_memory(spec)
    expected, rounding = lookup(spec, memory, ids), sum_rounding(spec, float(np.abs(memory).max()))
    for field, place in zip(spec.fields, spec.inputs[1].places, strict=True):
        if isinstance(place, slice):
            fewer = ids.copy()
            fewer[:, place.start] = 0
            assert not lookups_agree(lookup(spec, memory, fewer), expected, rounding), field.name


def test_a_model_without_bags_agrees_bit_for_bit() -> None:
    spec = small_spec()
    rounding, expected = sum_rounding(spec, largest=3), embeddings(spec)
    assert not rounding.any()
    assert lookups_agree(expected, expected.copy(), rounding)
    assert not lookups_agree(expected + np.float32(1e-7), expected, rounding)


def test_shapes_that_differ_and_what_is_no_number_do_not_agree() -> None:
    spec = small_spec(bags=SEVEN_BAGS)
    rounding, expected = sum_rounding(spec, largest=3), embeddings(spec)
    assert not lookups_agree(expected[1:], expected, rounding)
    other = expected.copy()
    other[0, 1] = np.nan
    assert not lookups_agree(other, expected, rounding)


@pytest.mark.parametrize("pooling", ["sum", "mean"])
def test_another_order_of_ids_stays_within_the_rounding(pooling: str) -> None:
    bag = Bag.model_validate({"values": 1024, "pooling": pooling})
    spec = small_spec(kinds=["int"], bags=[bag], memory=8000)
    memory, ids = random_memory(spec), random_batch(spec, 20).ids
    one, other = lookup(spec, memory, ids), lookup(spec, memory, np.sort(ids, axis=1))
    assert not np.array_equal(one, other)
    assert lookups_agree(one, other, sum_rounding(spec, float(np.abs(memory).max())))


def test_the_largest_weight_of_floats_and_of_integers() -> None:
    floats = {"sparse_arch.memory": np.array([[1, -3.5]], np.float32)}
    integers: Weights = {
        "sparse_arch.memory": np.zeros((2, 2), np.uint8),
        "sparse_arch.step": np.array(0.5, np.float32),
    }
    assert largest_weight(floats) == 3.5
    assert largest_weight(integers) == 64
