import json

import numpy as np
import pytest

from testing.samples import criteo_spec, random_batch, small_spec
from thimble.models.features import Batch
from thimble.models.inputs import Feature, InputTensor
from thimble.models.spec import ModelSpec, parse_spec


def test_numbers_and_fields_are_a_tensor_each() -> None:
    dense, ids = small_spec(dense=2, kinds=("int", "hex", "int")).inputs
    assert (dense.name, dense.dtype) == ("dense", "float32")
    assert dense.features == (Feature("d0", "number"), Feature("d1", "number"))
    assert np.isnan(dense.missing) and dense.width == 2 and dense.row_bytes == 8
    features = Feature("f0", "int"), Feature("f1", "hex"), Feature("f2", "int")
    assert ids == InputTensor("ids", "int64", features, missing=0)
    assert (ids.width, ids.row_bytes, ids.kinds) == (3, 24, ["hex", "int"])


def test_the_features_of_the_inputs_are_those_of_the_model_in_its_order() -> None:
    spec = criteo_spec()
    assert [feature for tensor in spec.inputs for feature in tensor.features] == spec.features


def test_inputs_follow_from_the_features_and_are_not_written_down() -> None:
    spec = small_spec()
    assert "inputs" not in json.loads(spec.model_dump_json())
    assert parse_spec(spec.model_dump_json()).inputs == spec.inputs


def test_a_batch_has_the_tensors_that_the_inputs_describe() -> None:
    spec = small_spec(dense=2, kinds=("int",) * 3)
    assert [tensor.name for tensor in spec.inputs] == list(Batch._fields)
    for batch in (random_batch(spec, 5), Batch.missing(spec.inputs, 5)):
        assert batch.rows == 5
        found = [(array.dtype, array.shape) for array in batch]
        assert found == [(np.dtype(tensor.dtype), (5, tensor.width)) for tensor in spec.inputs]


def test_parts_of_a_batch_and_their_joining() -> None:
    batch = random_batch(small_spec(), 9)
    parts = [batch.part(0, 4), batch.part(4, 5), batch.part(5, 99)]
    assert [part.rows for part in parts] == [4, 1, 4]
    assert all(np.shares_memory(part.ids, batch.ids) for part in parts)
    assert [array.tobytes() for array in Batch.joined(parts)] == [array.tobytes() for array in batch]


@pytest.mark.parametrize("spec", [small_spec(dense=0), small_spec(kinds=())], ids=["ids", "numbers"])
def test_a_tensor_without_features_has_no_columns_and_is_no_input_of_the_graph(spec: ModelSpec) -> None:
    (tensor,) = spec.graph_inputs
    for batch in (random_batch(spec, 5), Batch.missing(spec.inputs, 5), random_batch(spec, 9).part(4, 9)):
        assert batch.rows == 5 and [array.shape for array in batch] == [(5, it.width) for it in spec.inputs]
        assert list(batch.fed()) == [tensor.name]
        assert Batch.joined([batch, batch]).rows == 10


def test_missing_rows() -> None:
    dense, ids = Batch.missing(small_spec().inputs, 2)
    assert np.isnan(dense).all() and not ids.any()
