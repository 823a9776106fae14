"""The native lookup where some ids have rows of their own, for numbers of every kind, against numpy written out."""

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from onnx import helper

from testing.lookups import STEP, native_session
from testing.stored_lookups import Hot, StoredLookup, hot
from thimble.models.hashing import ID_LIMIT, Int64s
from thimble.ops.library import LIBRARY

pytestmark = pytest.mark.skipif(not LIBRARY.is_file(), reason=f"{LIBRARY.name} is not built; make ops says why")

HOT = [np.arange(40), np.append(np.random.default_rng(0).integers(0, ID_LIMIT, 300), ID_LIMIT - 1), np.array([0])]
SHARED = 97
CHUNKS = [2, 4, 8, 16, 32, 6]
BITS = [32, 16, 8, 4]


@cache
def of_hot_ids() -> Hot:
    return hot(HOT)


def case(bits: int, chunk: int, dim: int, with_hot: bool = True) -> StoredLookup:
    return StoredLookup(bits, chunk, dim, len(HOT), SHARED, of_hot_ids() if with_hot else None)


def asked(count: int) -> Int64s:
    """About half of them hot, the least and the greatest id among them."""
    random = np.random.default_rng(count)
    hot = np.stack([random.choice(own, count) for own in HOT], axis=1)
    ids = np.where(random.random(hot.shape) < 0.5, hot, random.integers(0, ID_LIMIT, hot.shape))
    ids[:1], ids[1:2] = 0, ID_LIMIT - 1
    return ids


@pytest.mark.parametrize("with_hot", [True, False])
@pytest.mark.parametrize("bits", BITS)
def test_every_bit_is_that_of_the_definition(bits: int, with_hot: bool) -> None:
    for chunk, rest in itertools.product(CHUNKS, (0, 1)):
        lookup = case(bits, chunk, 3 * chunk - rest, with_hot)
        session = native_session(lookup.model())
        for rows in (0, 1, 2, 301):
            (found,) = session.run(None, {"ids": asked(rows)})
            assert found.shape == (rows, len(HOT), lookup.dim)
            assert found.tobytes() == lookup.expected(asked(rows)).tobytes(), (chunk, rest, rows)


@pytest.mark.parametrize("bits", BITS)
def test_so_it_is_where_the_output_is_written_around_the_caches(bits: int) -> None:
    lookup, ids = case(bits, 32, 128), asked(4 << 20 >> 10)
    (found,) = native_session(lookup.model()).run(None, {"ids": ids})
    assert found.nbytes > 4 << 20
    assert found.tobytes() == lookup.expected(ids).tobytes()


def test_hot_ids_read_what_nobody_else_reads() -> None:
    lookup, ids = case(8, 8, 20), asked(301)
    is_hot = np.stack([np.isin(column, own) for column, own in zip(ids.T, HOT, strict=True)], axis=1)
    (found,) = native_session(lookup.model()).run(None, {"ids": ids})
    lookup.memory[SHARED:] = 128  # which is zero
    (without,) = native_session(lookup.model()).run(None, {"ids": ids})
    assert is_hot.any() and not is_hot.all()
    assert not without[is_hot].any() and found[is_hot].any()
    assert np.array_equal(found[~is_hot], without[~is_hot])


def test_a_directory_that_changes_from_run_to_run_is_followed() -> None:
    lookup, ids, given = case(4, 8, 20), asked(301), of_hot_ids()
    model = lookup.model()
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in Hot._fields]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for name, value in given._asdict().items():
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        model.graph.input.append(helper.make_tensor_value_info(name, kind, None))
    session = native_session(model)
    for changed in (given, given._replace(keys=np.full_like(given.keys, -1)), hot([own[:1] for own in HOT])):
        lookup.hot, lookup.shared = changed, len(lookup.memory) - changed.keys.size * lookup.chunks
        (found,) = session.run(None, {"ids": ids, **changed._asdict()})
        assert found.tobytes() == lookup.expected(ids).tobytes()


def test_no_directory_leads_out_of_the_memory() -> None:
    """Whatever it says. What exactly is read then is held by the fuzzer."""
    lookup, (keys, directory) = case(8, 4, 8), of_hot_ids()
    everywhere_one = np.full_like(lookup.memory, 129)
    extremes = np.array([-1, -(1 << 63), (1 << 63) - 1, 1 << 31, len(keys), 0, 1])
    for seed in range(10):
        hostile = np.random.default_rng(seed).choice(extremes, directory.shape)
        model = lookup.model(directory=hostile, memory=everywhere_one)
        (found,) = native_session(model).run(None, {"ids": asked(200)})
        assert np.array_equal(found, np.full_like(found, STEP))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"keys": None}, "version 2 of scheme block needs keys and directory"),
        ({"directory": None}, "version 2 of scheme block needs keys and directory"),
        ({"keys": None, "directory": None}, "version 2 of scheme block needs keys and directory"),
        ({"version": 1}, "keys and directory are for version 2 of scheme block"),
        ({"keys": np.zeros((4, 3), np.int32)}, r"keys are \[4, 3\], but must be \[buckets, 4\]"),
        ({"keys": np.zeros((0, 4), np.int32)}, r"keys are \[0, 4\], but must be \[buckets, 4\]"),
        ({"keys": np.zeros(4, np.int32)}, r"keys are \[4\], but must be \[buckets, 4\]"),
        ({"keys": np.zeros((25, 4), np.int32), "memory": np.zeros((300, 8), np.uint8)}, "memory .* has no room for 3"),
        ({"directory": np.zeros((4, 3, 2), np.int64)}, r"directory is \[4, 3, 2\], but ids .* need \[5, 3, 2\]"),
        ({"directory": np.zeros((5, 2, 2), np.int64)}, r"directory is \[5, 2, 2\], but ids .* need \[5, 3, 2\]"),
    ],
)
def test_what_is_no_directory_is_refused_when_the_session_is_made(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Exception, match=f"HashLookup: .*{sentence}"):
        native_session(case(8, 8, 20).model(**changes))


def test_one_shared_slot_is_enough() -> None:
    model = case(8, 8, 20).model(keys=np.full((25, 4), -1, np.int32), memory=np.full((301, 8), 129, np.uint8))
    (found,) = native_session(model).run(None, {"ids": asked(3)})
    assert np.array_equal(found, np.full_like(found, STEP))
