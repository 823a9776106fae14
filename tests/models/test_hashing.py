from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.lookups import hashed, lookup
from testing.samples import SHARED, small_spec
from thimble.models.hashing import ID_LIMIT, HashMap, Int64s
from thimble.models.inputs import Categorical
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.schemes.block import BlockEmbedding, block_constants
from thimble.models.schemes.robe import ROBE_CONSTANTS, RobeEmbedding
from thimble.models.spec import ModelSpec

BLOCK_PRIME = BlockEmbedding.prime

P = 2038074743
R1, R2, R3 = 634329019, 1825252241, 871205356


def robe_spec(scheme: str, memory: int, chunk: int, dim: int, offsets: list[int]) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "robe",
            "dense": ["d"],
            "fields": [{"name": f"f{i}", "kind": "int", "rows": 10} for i in range(len(offsets))],
            "embedding_dim": dim,
            "embedding": {
                "scheme": scheme,
                "memory_length": memory,
                "chunk_size": chunk,
                "constants": ROBE_CONSTANTS,
                "offsets": offsets,
            },
            "architecture": {"kind": "dlrm", "dense_arch": [dim], "over_arch": [1]},
        }
    )


GOLDEN = [
    ("robe-v1", 27_000_000, 0, [13329732, 16506982, 19684232, 8938581]),
    ("robe-v1", 27_000_000, 1, [20536080, 23713330, 26890580, 3067861]),
    ("robe-v1", 27_000_000, 12345, [15030865, 18208115, 21385365, 24562615]),
    ("robe-v1", 27_000_000, 882774558, [12326350, 15503600, 18680850, 21858100]),
    ("robe-v1", 2_700_000, 0, [2536273, 311353, 786402, 859599]),
    ("robe-v1", 2_700_000, 1, [1651642, 2126691, 2601740, 376820]),
    ("robe-v1", 2_700_000, 12345, [1538553, 2013602, 2488651, 263731]),
    ("robe-v1", 2_700_000, 187767398, [2420042, 195122, 670171, 1145220]),
    ("robe-v2", 2_700_000, 0, [2290630, 65632, 540602, 1015572]),
    ("robe-v2", 2_700_000, 1, [2127169, 2602139, 377141, 852111]),
    ("robe-v2", 2_700_000, 12345, [573627, 1048597, 1523567, 1998537]),
    ("robe-v2", 2_700_000, 187767398, [2229079, 4081, 479051, 954021]),
]


@pytest.mark.parametrize(("scheme", "memory", "x", "starts"), GOLDEN)
def test_published_maps_equal_the_golden_vectors(scheme: str, memory: int, x: int, starts: list[int]) -> None:
    whole = hash_map(robe_spec(scheme, memory, 32, 128, [0]))
    assert whole.starts(np.array([[x]]))[0, 0].tolist() == starts
    parted = hash_map(robe_spec(scheme, memory, 32, 128, [0, x // 3]))
    assert parted.starts(np.array([[x, x - x // 3]]))[0].tolist() == [starts, starts]


@pytest.mark.parametrize(
    ("index", "positions"),
    [
        (0, [*range(30, 38), *range(104, 112), *range(341, 345)]),
        (7, [*range(7, 15), *range(81, 89), *range(318, 322)]),
    ],
)
def test_chunk_size_that_does_not_divide_the_dimension(index: int, positions: list[int]) -> None:
    spec = robe_spec("robe-v1", 1000, 8, 20, [100])
    memory = np.arange(1000, dtype=np.float32)  # every float says where it lies
    assert lookup(spec, memory, np.array([[index]]))[0, 0].tolist() == positions
    sparse = SharedMemory(hashed(spec), spec.fields, spec.embedding_dim, spec.precision.memory)
    sparse.memory.data = torch.from_numpy(memory)
    assert sparse(torch.tensor([[index]]))[0, 0].tolist() == positions


def hash_map(spec: ModelSpec) -> HashMap:
    return hashed(spec).hash_map(spec.embedding_dim)


def published_starts(spec: ModelSpec, field: int, value: int) -> list[int]:
    """The formulas of the design, in Python's integers, which do not overflow."""
    embedding, chunks = hashed(spec), hashed(spec).chunks(spec.embedding_dim)
    m, z = embedding.memory_length, embedding.chunk_size
    if isinstance(embedding, BlockEmbedding):
        lo, hi = value % 2**30, value // 2**30
        a, b, s = embedding.a[field], embedding.b[field], embedding.s[field]
        return [z * ((lo * a[c] + hi * b[c] + s[c]) % (2**31 - 1) % (m // z)) for c in range(chunks)]
    assert isinstance(embedding, RobeEmbedding)
    x = embedding.offsets[field] + value
    if embedding.scheme == "robe-v1":
        return [(x * R3 + c * R2 + R1) % P % (m - z + 1) for c in range(chunks)]
    return [(x * R1 + (c + 1) * R2 + R3) % P % (m - z) for c in range(chunks)]


@st.composite
def models(draw: st.DrawFn) -> tuple[ModelSpec, Int64s]:
    chunk = draw(st.integers(1, 9))
    fields = draw(st.integers(1, 4))
    spec = small_spec(
        scheme=draw(st.sampled_from(SHARED)),
        kinds=["int"] * fields,
        dim=draw(st.integers(1, 24)),
        chunk=chunk,
        memory=chunk * draw(st.integers(2, 300)),
        rows=draw(st.integers(1, 1 << 40)),
        seed=draw(st.integers(0, 1 << 30)),
    )
    value = st.integers(0, ID_LIMIT - 1) | st.integers(0, 1 << 33) | st.sampled_from([0, 1 << 30, ID_LIMIT - 1])
    rows = draw(st.lists(st.lists(value, min_size=fields, max_size=fields), min_size=1, max_size=6))
    return spec, np.array(rows, dtype=np.int64)


@settings(max_examples=150, deadline=None)
@given(models())
def test_starts_equal_the_published_formulas_and_lie_inside_the_memory(case: tuple[ModelSpec, Int64s]) -> None:
    spec, ids = case
    starts = hash_map(spec).starts(ids)
    assert starts.dtype == np.int64
    assert starts.tolist() == [
        [published_starts(spec, f, value) for f, value in enumerate(row)] for row in ids.tolist()
    ]
    embedding = hashed(spec)
    assert starts.min() >= 0
    assert starts.max() + embedding.chunk_size <= embedding.memory_length
    again = hash_map(ModelSpec.model_validate_json(spec.model_dump_json())).starts(ids)
    assert (starts == again).all()


@settings(max_examples=60, deadline=None)
@given(models())
def test_torch_reads_what_numpy_reads_bit_for_bit(case: tuple[ModelSpec, Int64s]) -> None:
    spec, ids = case
    sparse = SharedMemory(hashed(spec), spec.fields, spec.embedding_dim, spec.precision.memory)
    by_numpy = lookup(spec, sparse.memory.detach().numpy().ravel(), ids)
    with torch.inference_mode():
        by_torch = sparse(torch.from_numpy(ids)).numpy()
    assert by_numpy.shape == (*ids.shape, spec.embedding_dim)
    assert by_numpy.tobytes() == by_torch.tobytes()


def test_largest_id_and_constants_do_not_overflow() -> None:
    largest = BLOCK_PRIME - 1
    constants = np.full((3, 1, 2), largest, dtype=np.int64)
    starts = HashMap(BLOCK_PRIME, 997, 8, constants).starts(np.array([[ID_LIMIT - 1]]))
    low = high = 2**30 - 1
    expected = (low * largest + high * largest + largest) % (2**31 - 1) % 997 * 8
    assert starts.ravel().tolist() == [expected, expected]


def test_block_constants_are_in_range_and_repeatable() -> None:
    constants = block_constants(7, 26, 4)
    assert constants.shape == (3, 26, 4)
    assert constants.min() >= 1 and constants.max() < BLOCK_PRIME
    assert len(np.unique(constants)) == constants.size
    assert (constants == block_constants(7, 26, 4)).all()
    assert (constants != block_constants(8, 26, 4)).any()


def shared_collisions(spec: ModelSpec, ids: Int64s) -> float:
    """Of the pairs of ids that start at the same place in their first chunk, the share that does in the second too."""
    starts = hash_map(spec).starts(ids[:, None])[:, 0]
    groups: dict[int, list[int]] = defaultdict(list)
    for first, second in starts[:, :2].tolist():
        groups[first].append(second)
    pairs = [pair for group in groups.values() for pair in combinations(group, 2)]
    assert len(pairs) > 1000
    return sum(a == b for a, b in pairs) / len(pairs)


def chunked_spec(scheme: str) -> ModelSpec:
    slots_or_so = 1000
    return small_spec(scheme, kinds=("int",), dim=16, chunk=8, memory=8 * slots_or_so)


@pytest.mark.parametrize("limit", [1 << 32, ID_LIMIT])
def test_block_chunks_collide_independently_and_published_ones_do_not(limit: int) -> None:
    ids = np.unique(np.random.default_rng(3).integers(0, limit, 8000))
    assert shared_collisions(chunked_spec("block"), ids) < 0.005  # by chance 0.001
    for scheme in ("robe-v1", "robe-v2"):
        assert shared_collisions(chunked_spec(scheme), ids) > 0.2


def test_fields_do_not_share_a_map() -> None:
    spec = small_spec("block", kinds=("int",) * 5, memory=8 * 1000)
    starts = hash_map(spec).starts(np.full((1, 5), 42))[0]
    assert len({tuple(field) for field in starts.tolist()}) == 5


def test_unseen_and_missing_ids_have_embeddings() -> None:
    spec = small_spec("block", kinds=("int",), rows=1)
    assert spec.fields == [Categorical(name="f0", kind="int", rows=1)]
    memory = np.arange(hashed(spec).memory_length, dtype=np.float32)
    assert np.isfinite(lookup(spec, memory, np.array([[0], [ID_LIMIT - 1]]))).all()
