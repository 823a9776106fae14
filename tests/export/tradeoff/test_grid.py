from typing import Any

import pytest

from testing.samples import criteo_spec, small_spec
from thimble.export.tradeoff.grid import Grid, Run, Setting, grid_of, spec_for
from thimble.export.training.errors import RunError
from thimble.models.spec import ModelSpec

NOTHING: dict[str, Any] = {
    "schemes": ["block"],
    "precisions": ["fp32"],
    "hot_rows": ["none"],
    "chunks": None,
    "compressions": None,
    "epochs": None,
    "seeds": 3,
}


def made(base: ModelSpec | None = None, **given: Any) -> Grid:
    return grid_of(base or criteo_spec(), **{**NOTHING, **given})


def test_a_grid_has_every_combination_once_and_full_tables_for_each_number_of_epochs() -> None:
    found = made(
        schemes=["block", "robe-v1", "block"], chunks=[4, 8], compressions=[100, 10, 10.0000001], epochs=[1, 4]
    )
    assert [it.epochs for it in found.full] == [1, 4]
    assert len(found.compressed) == len(set(found.compressed)) == 2 * 2 * 2 * 2
    keys = [Run(setting, 0).key for setting in found.settings]
    assert len(set(keys)) == len(keys) and "robe-v1-fp32-chunk8-100x-4epochs-seed0" in keys


def test_compressions_are_as_many_as_the_tables_have_room_for() -> None:
    assert [it.compression for it in made().compressed] == [10, 100, 1000]
    assert [it.compression for it in made(criteo_spec(rows=50)).compressed] == [10, 100]


def test_a_model_has_the_memory_that_the_compression_leaves() -> None:
    base = criteo_spec()
    spec = spec_for(base, Setting(scheme="robe-v1", chunk=2, compression=100), seed=1)
    assert spec.embedding.scheme == "robe-v1"
    assert 0 <= base.full_table_bytes / 100 - spec.embedding_bytes < 8 + 1


def test_combinations_that_there_are_none_of_are_left_out_and_told() -> None:
    found = made(schemes=["block", "robe-v2"], precisions=["fp32", "int4"], chunks=[4, 3], compressions=[10])
    assert [(it.scheme, it.precision, it.chunk) for it in found.compressed] == [
        *(("block", "fp32", 4), ("block", "fp32", 3), ("block", "int4", 4)),
        *(("robe-v2", "fp32", 4), ("robe-v2", "fp32", 3)),
    ]
    assert [why.split(":")[0] for why in found.impossible] == [
        *("block, int4, chunks of 3", "robe-v2, int4, chunks of 4", "robe-v2, int4, chunks of 3"),
    ]


def test_the_precision_is_that_which_train_has_for_a_scheme_and_a_chunk() -> None:
    found = made(schemes=["block", "robe-v1"], precisions=None, chunks=[4, 3], compressions=[10])
    assert [(it.scheme, it.precision, it.chunk) for it in found.compressed] == [
        *(("block", "int4", 4), ("robe-v1", "fp32", 4), ("robe-v1", "fp32", 3)),
    ]
    (why,) = found.impossible
    assert why.startswith("block, chunks of 3: embeddings have 4 bits where nothing is said")


def test_bytes_are_those_that_are_stored() -> None:
    base = criteo_spec()
    few, many = (
        spec_for(base, Setting(scheme="block", precision=precision, chunk=4, compression=100), seed=0)
        for precision in ("fp32", "int4")
    )
    assert all(0 <= base.full_table_bytes // 100 - it.embedding_bytes < 16 for it in (few, many))
    assert many.embedding.weights(8) > 7.9 * few.embedding.weights(8)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"schemes": ["bloc"]}, "--scheme takes block, robe-v1, robe-v2, not 'bloc'"),
        ({"schemes": ["full"]}, "not 'full'; full tables are trained in any case"),
        ({"schemes": []}, "--scheme takes block, robe-v1, robe-v2, and names none of them"),
        ({"precisions": ["int2"]}, "--memory-precision takes fp32, fp16, int8, int4, not 'int2'"),
        ({"schemes": ["robe-v1"], "precisions": ["int4"]}, "int4 embeddings are for scheme block; robe-v1 takes fp32"),
        ({"hot_rows": ["some"]}, "--hot-rows takes none, auto, not 'some'"),
        ({"schemes": ["robe-v2"], "hot_rows": ["auto"]}, "hot rows are for scheme block, not for robe-v2"),
        ({"compressions": [1]}, "--compression says how many times smaller, so 1 is none"),
        ({"compressions": [10, -3]}, "so -3 is none"),
        ({"compressions": [1e6]}, "block compressed 1e+06 times: a memory of 0 bytes does not hold two fp32 chunks"),
        ({"chunks": [4096], "compressions": [100]}, "does not hold two fp32 chunks of 4096 weights"),
    ],
)
def test_what_cannot_be_is_a_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RunError) as refused:
        made(**given)
    assert sentence in str(refused.value)


def test_models_without_much_to_compress_are_refused() -> None:
    with pytest.raises(RunError, match="a model of numbers alone has no embeddings that could be made smaller"):
        made(small_spec(kinds=()))
    with pytest.raises(RunError, match="have 400 bytes, and a 10th of that holds no 2 embeddings"):
        made(small_spec(kinds=("int",), dim=2, rows=50))
