"""The native lookup where fields have bags, bit for bit: it adds embeddings up in the order in which numpy does."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from testing.lookups import SHAPES, lookup, lookup_model, native_session, random_memory, with_hot
from testing.samples import SEVEN_BAGS, SHARED, random_batch, small_spec
from thimble.models.bags import MOST_VALUES, Bag, Pooling
from thimble.models.hashing import ID_LIMIT, Floats, Int64s
from thimble.models.hot_rows import Keys
from thimble.models.spec import ModelSpec
from thimble.ops.library import LIBRARY

pytestmark = pytest.mark.skipif(not LIBRARY.is_file(), reason=f"{LIBRARY.name} is not built; make ops says why")

# of one number, as `random_memory` takes them
STORED: list[tuple[npt.DTypeLike, int]] = [(np.float32, 32), (np.float16, 16), (np.uint8, 8), (np.uint8, 4)]
POOLINGS: list[Pooling] = ["sum", "mean", "max"]


def finite(spec: ModelSpec, dtype: npt.DTypeLike, bits: int) -> npt.NDArray[Any]:
    memory = random_memory(spec, dtype, bits)
    return np.where(np.isfinite(memory), memory, 0).astype(dtype) if dtype == np.float16 else memory


def found(spec: ModelSpec, memory: npt.NDArray[Any], ids: Int64s, keys: Keys | None = None) -> Floats:
    (embeddings,) = native_session(lookup_model(spec, memory, body=False, keys=keys)).run(None, {"ids": ids})
    assert embeddings.shape == (len(ids), len(spec.fields), spec.embedding_dim)
    pooled: Floats = embeddings
    return pooled


@pytest.mark.parametrize("scheme", SHARED)
@pytest.mark.parametrize(("dtype", "bits"), STORED)
def test_bags_among_other_fields(scheme: str, dtype: npt.DTypeLike, bits: int) -> None:
    for dim, chunk in [*SHAPES, (130, 64), (40, 16)]:
        if (dtype == np.uint8 and scheme != "block") or (bits == 4 and chunk % 2):
            continue
        spec = small_spec(scheme, dim=dim, chunk=chunk, memory=chunk * 125, bags=SEVEN_BAGS)
        memory = finite(spec, dtype, bits)
        for rows in (0, 1, 2, 301):
            ids = random_batch(spec, rows, rows).ids
            expected = lookup(spec, memory, ids)
            assert found(spec, memory, ids).tobytes() == expected.tobytes(), (dim, chunk, rows)


@pytest.mark.parametrize("values", [1, 2, 63, 64, 65, MOST_VALUES])
def test_bags_of_every_size(values: int) -> None:
    """As one that is looked up at once, or in several goes; in between others end and begin."""
    bags = [Bag(values=values, pooling=pooling) for pooling in POOLINGS]
    spec = small_spec(kinds=["int"] * 4, dim=128, chunk=32, memory=32_000, bags=(bags[0], None, *bags[1:]))
    memory = random_memory(spec)
    for share in (0, 0.1, 0.9, 1):
        ids = random_batch(spec, 5).ids
        ids[np.random.default_rng(0).random(ids.shape) > share] = 0
        assert found(spec, memory, ids).tobytes() == lookup(spec, memory, ids).tobytes(), share


@pytest.mark.parametrize(("dtype", "bits"), STORED)
def test_hot_ids_in_bags(dtype: npt.DTypeLike, bits: int) -> None:
    random = np.random.default_rng(0)
    own = [random.integers(1, ID_LIMIT, 40) for _ in SEVEN_BAGS]
    spec, keys = with_hot(small_spec(memory=800, bags=SEVEN_BAGS), own)
    memory = finite(spec, dtype, bits)
    ids = random_batch(spec, 200).ids
    field = [spec.fields.index(next(f for f in spec.fields if f.name == c.name)) for c in spec.inputs[1].columns]
    of_own = np.stack([random.choice(own[f], len(ids)) for f in field], axis=1)
    ids = np.where((ids != 0) & (random.random(ids.shape) < 0.5), of_own, ids)
    expected = lookup(spec, memory, ids, keys)
    assert found(spec, memory, ids, keys).tobytes() == expected.tobytes()
    assert not np.array_equal(lookup(spec, memory, ids, np.full_like(keys, -1)), expected)


def test_of_an_empty_bag_it_is_zero_and_a_missing_value_has_an_embedding() -> None:
    spec = small_spec(bags=SEVEN_BAGS)
    embeddings = found(spec, random_memory(spec), np.zeros((3, spec.inputs[1].width), np.int64))
    for field, bag in enumerate(SEVEN_BAGS):
        assert embeddings[:, field].any() == (bag is None), field


@pytest.mark.parametrize("pooling", POOLINGS)
def test_one_id_in_a_bag_is_its_embedding_wherever_it_stands(pooling: Pooling) -> None:
    spec = small_spec(kinds=["int"] * 2, bags=[Bag(values=3, pooling=pooling)] * 2)
    single = small_spec(kinds=["int"] * 2)
    memory = -np.abs(random_memory(spec))
    for id_, place in itertools.product((1, 7, ID_LIMIT - 1), range(3)):
        ids = np.zeros((1, 6), np.int64)
        ids[0, [place, 3 + place]] = id_
        expected = lookup(single, memory, np.full((1, 2), id_))
        assert found(spec, memory, ids).tobytes() == expected.tobytes()


def test_many_rows_are_shared_out_among_threads() -> None:
    spec = small_spec(dim=128, chunk=32, memory=32_000, bags=SEVEN_BAGS)
    memory, ids = random_memory(spec), random_batch(spec, 3000).ids
    assert found(spec, memory, ids).tobytes() == lookup(spec, memory, ids).tobytes()


VALUES, POOLING = [1, 3, 4, 1, 1, 5, 1], [0, 1, 2, 0, 0, 3, 2]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"values": VALUES[:-1]},
            "values are those of 6 fields and pooling that of 7, but both must be of every field",
        ),
        ({"values": None}, "values are those of 0 fields and pooling that of 7"),
        ({"pooling": None}, "values are those of 7 fields and pooling that of 0"),
        ({"values": [*VALUES[:-1], 0]}, "values 0 of field 6 must be between 1 and 1024"),
        ({"values": [*VALUES[:-1], -(1 << 63)]}, f"values {-(1 << 63)} of field 6 must be between 1 and 1024"),
        ({"values": [*VALUES[:-1], 1025]}, "values 1025 of field 6 must be between 1 and 1024"),
        ({"pooling": [*POOLING[:-1], 4]}, "pooling 4 of field 6 is none of 0 .single-valued., 1 .sum., 2 .mean. and 3"),
        ({"pooling": [*POOLING[:-1], -1]}, "pooling -1 of field 6 is none of 0"),
        ({"pooling": [0, 0, *POOLING[2:]]}, "values 3 of field 1 must be 1, because its pooling 0 says"),
        ({"values": [1, 4, *VALUES[2:]]}, r"ids are \[\?, 16\], but the values of 7 fields need \[\?, 17\]"),
        ({"values": VALUES[:-1], "pooling": POOLING[:-1]}, r"ids are \[\?, 16\], but the values of 6 fields need"),
        ({"values": [*VALUES[:-2], 6], "pooling": POOLING[:-1]}, r"constants are \[3, 7, 3\], but .* need \[3, 6, 3\]"),
        ({"constants": np.zeros((3, 16, 3), np.int64)}, r"constants are \[3, 16, 3\], but .* need \[3, 7, 3\]"),
        ({"values": None, "pooling": None}, r"constants are \[3, 7, 3\], but ids \[\?, 16\] .* need \[3, 16, 3\]"),
    ],
)
def test_what_are_no_bags_is_refused_when_the_session_is_made(changes: dict[str, Any], sentence: str) -> None:
    spec = small_spec(bags=SEVEN_BAGS)
    given = {name: value for name, value in changes.items() if value is not None}
    model = lookup_model(spec, random_memory(spec), body=False, **given)
    left_out(model, [name for name, value in changes.items() if value is None])
    with pytest.raises(Exception, match=f"HashLookup: .*{sentence}"):
        native_session(model)


def test_ids_of_another_width_are_refused_at_the_first_run() -> None:
    spec = small_spec(bags=SEVEN_BAGS)
    model = lookup_model(spec, random_memory(spec), body=False)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(Exception, match=r"HashLookup: ids are \[4, 7\], but the values of 7 fields need \[\?, 16\]"):
        native_session(model).run(None, {"ids": np.zeros((4, 7), np.int64)})


def left_out(model: onnx.ModelProto, names: list[str]) -> None:
    kept = [attribute for attribute in model.graph.node[0].attribute if attribute.name not in names]
    del model.graph.node[0].attribute[:]
    model.graph.node[0].attribute.extend(kept)
