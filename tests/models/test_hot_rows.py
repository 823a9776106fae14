"""Rows of their own, in numpy, torch and the file's function."""

import json

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from testing.lookups import STEP, Memory, lookup, lookup_model, random_memory, with_hot
from testing.samples import small_spec
from thimble.export.artifact.agreement import onnx_session
from thimble.models.directory import LANES, PRIME, fill
from thimble.models.hashing import ID_LIMIT, Floats, Int64s
from thimble.models.hot_rows import Keys, find, hot_keys
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.quantization import dequantize
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.spec import ModelSpec, SpecError, parse_spec

IDS = st.one_of(st.integers(0, 40), st.integers(ID_LIMIT - 40, ID_LIMIT - 1), st.integers(0, ID_LIMIT - 1))
HOT = [np.arange(7), np.append(np.random.default_rng(0).integers(0, ID_LIMIT, 300), ID_LIMIT - 1), np.array([], int)]


def block(spec: ModelSpec) -> BlockEmbedding:
    assert isinstance(spec.embedding, BlockEmbedding)
    return spec.embedding


def asked(count: int) -> Int64s:
    """Ids for three fields, about half of them hot where there are such, the least and the greatest among them."""
    random = np.random.default_rng(1)
    ids = random.integers(0, ID_LIMIT, (count, 3))
    for f, hot in enumerate(HOT[:2]):
        ids[:, f] = np.where(random.random(count) < 0.5, random.choice(hot, count), ids[:, f])
    ids[:1], ids[1:2] = 0, ID_LIMIT - 1
    return ids


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(IDS, max_size=60), min_size=1, max_size=4), st.lists(IDS, max_size=20))
def test_exactly_the_hot_ids_are_found_each_in_a_place_of_its_own(ids: list[list[int]], others: list[int]) -> None:
    directory, lying = fill([np.array(of_field, dtype=np.int64) for of_field in ids])
    keys = hot_keys(directory, lying)
    assert keys.dtype == np.int32 and keys.shape == lying.shape
    every = np.unique([0, ID_LIMIT - 1, *others, *(i for of_field in ids for i in of_field)])
    columns = np.repeat(every[:, None], len(ids), axis=1)
    places = find(directory, keys, columns)
    assert np.array_equal(places, directory.find(lying, columns))
    taken = places[places >= 0].tolist()
    assert len(taken) == len(set(taken)) == sum(len(set(of_field)) for of_field in ids)


def test_ids_with_a_hash_in_common_are_none_of_them_hot() -> None:
    """Else one of them would read the other's row. Whoever knows the constants can choose such ids."""
    plain = np.arange(5, 35)
    directory, _ = fill([plain])
    (a, b, s), low = directory.constants()[:, 0, 0].tolist(), int(plain[0])
    high = next(
        h for h in range(1, 1000) if (low - h * b * pow(a, -1, PRIME)) % PRIME < 1 << 30
    )  # lo * a + hi * b is the same
    twin = (high << 30) + (low - high * b * pow(a, -1, PRIME)) % PRIME
    ids = np.append(plain[:-1], twin)
    directory, lying = fill([ids])
    assert directory.constants()[:, 0, 0].tolist() == [a, b, s], "as many ids have the same constants"
    assert len(np.unique(directory.hashes(np.array([[low], [twin]]))[..., 0])) == 1
    keys = hot_keys(directory, lying)
    places = find(directory, keys, ids[:, None])[:, 0]
    assert ids[places < 0].tolist() == [low, twin]
    assert len(set(places[places >= 0].tolist())) == len(ids) - 2


def memories(spec: ModelSpec) -> list[tuple[Memory, int | None]]:
    floats: list[npt.DTypeLike] = [np.float32, np.float16]
    whole = block(spec).chunk_size % 2 == 0
    return [
        *((random_memory(spec, dtype), None) for dtype in floats),
        *((random_memory(spec, np.uint8, bits), bits) for bits in (8, 4) if bits == 8 or whole),
    ]


def by_torch(spec: ModelSpec, keys: Keys, memory: Memory, bits: int | None, ids: Int64s) -> Floats:
    module = SharedMemory(block(spec), spec.fields, spec.embedding_dim, spec.precision.memory)
    assert module.hot is not None
    module.hot.keys.copy_(torch.from_numpy(keys))
    rows = memory.reshape(block(spec).memory_shape[0], -1)
    if bits:
        module.memory = nn.Parameter(torch.from_numpy(dequantize(rows, STEP, bits)))
        module.quantize(float(STEP), bits)
    else:
        module.memory = nn.Parameter(torch.from_numpy(rows))
    found: Floats = module(torch.from_numpy(ids)).numpy(force=True)
    return found


@pytest.mark.parametrize(("dim", "chunk"), [(16, 8), (20, 8), (5, 8), (3, 1), (128, 32), (8, 2)])
def test_all_backends_are_equal_bit_for_bit(dim: int, chunk: int) -> None:
    spec, keys = with_hot(small_spec(kinds=("int",) * 3, dim=dim, chunk=chunk, memory=chunk * 50), HOT)
    for memory, bits in memories(spec):
        model = lookup_model(spec, memory, keys=keys)
        onnx.checker.check_model(model)
        session = onnx_session(model.SerializeToString())
        for rows in (0, 1, 400):
            expected = lookup(spec, memory, asked(rows), keys)
            (found,) = session.run(None, {"ids": asked(rows)})
            assert found.shape == expected.shape == (rows, 3, dim)
            assert found.tobytes() == expected.tobytes()
            assert by_torch(spec, keys, memory, bits, asked(rows)).tobytes() == expected.tobytes()


def test_hot_ids_share_nothing_and_others_read_what_they_would_without_hot_rows() -> None:
    plain = small_spec(kinds=("int",) * 3, dim=20, chunk=8, memory=8 * 50)
    spec, keys = with_hot(plain, HOT)
    memory = np.arange(block(spec).memory_length, dtype=np.float32)
    ids = asked(400)
    read, without = lookup(spec, memory, ids, keys), lookup(plain, memory[:400], ids)
    hot = np.stack([np.isin(column, own) for column, own in zip(ids.T, HOT, strict=True)], axis=1)
    assert hot.any() and not hot.all()
    assert np.array_equal(read[~hot], without[~hot])
    owners: dict[float, tuple[int, int]] = {}
    for (row, f), values in zip(np.argwhere(hot), read[hot], strict=True):
        for value in values.tolist():
            assert value >= 400
            assert owners.setdefault(value, (f, ids[row, f])) == (f, ids[row, f])


def refusal(spec: ModelSpec, **changes: object) -> str:
    text = json.loads(spec.model_dump_json())
    text["embedding"] |= changes
    with pytest.raises(SpecError) as caught:
        parse_spec(json.dumps(text))
    return str(caught.value)


def test_specs_that_cannot_be() -> None:
    plain = small_spec(kinds=("int",) * 3, dim=16, chunk=8, memory=800)
    spec, _ = with_hot(plain, HOT)
    assert parse_spec(spec.model_dump_json()) == spec
    assert '"hot"' not in plain.model_dump_json(exclude_none=True)
    assert "of version 2 with hot rows and of version 1 without, not 1" in refusal(spec, version=1)
    assert "of version 2 with hot rows and of version 1 without, not 2" in refusal(plain, version=2)
    hot = json.loads(spec.model_dump_json())["embedding"]["hot"]
    slots = 2 * LANES * sum(hot["buckets"])
    assert f"{slots} slots leaves 0 beside {slots // 2} hot rows" in refusal(spec, memory_length=8 * slots)
    assert "buckets of 2 fields for 3 fields" in refusal(spec, hot=hot | {"buckets": hot["buckets"][:2]})
    assert "reads" in refusal(spec, hot=hot | {"reads": 1.5})


def test_keys_count_among_the_bytes() -> None:
    plain = small_spec(kinds=("int",) * 3, dim=16, chunk=8, memory=800)
    spec, keys = with_hot(plain, HOT)
    assert spec.embedding_bytes == 4 * block(spec).memory_length + keys.nbytes
