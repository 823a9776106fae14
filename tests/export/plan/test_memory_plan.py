"""Whole plans, of a pace that is given."""

import pytest

from thimble.export.plan.caches import Cache
from thimble.export.plan.memory_plan import MemoryPlan, memory_plan
from thimble.export.plan.pace import Pace
from thimble.export.plan.read_ids import known_ids
from thimble.export.plan.words import in_words
from thimble.export.training.schema import preset_spec

CACHES = (Cache(level=1, bytes=32_768), Cache(level=2, bytes=1_000_000))


def planned(
    memory: int, rows: int = 1_000_000, caches: tuple[Cache, ...] = CACHES, epsilon: float = 0.1, step_rows: float = 512
) -> MemoryPlan:
    spec = preset_spec("feed", None, "block", memory, None, 0)
    pace = Pace(device="cpu", batch_size=512, steps=10, step_rows=step_rows, rows_per_second=1000)
    return memory_plan(spec, "feed", known_ids(spec, rows), epsilon, pace, caches)


def test_more_memory_shares_less_and_keeps_more() -> None:
    small, large = planned(200_000), planned(20_000_000)
    for few, many in zip(small.sharing, large.sharing, strict=True):
        assert many.shared_share < 0.1 < few.shared_share
        assert many.distinct_embeddings > few.distinct_embeddings
        assert many.all_shared < few.all_shared
    assert large.projection.within < small.projection.within


def test_what_is_recommended_does_what_is_said_of_it() -> None:
    found = planned(200_000).recommendation
    assert found == planned(20_000_000).recommendation
    at_it = planned(found.memory_bytes)
    (sharing,) = (it for it in at_it.sharing if it.precision == found.precision)
    assert sharing.shared_share == pytest.approx(0.1, abs=0.005)
    assert 1 - sharing.distinct_embeddings / at_it.ids < 0.001
    assert at_it.chunk_size == found.chunk_size
    options = [line.split()[:2] for line in in_words(at_it)[-4:]]
    assert options == [
        ["--memory", str(found.memory_bytes)],
        ["--memory-precision", "int4"],
        ["--chunk", str(found.chunk_size)],
        ["--hot-rows", "none"],
    ]


@pytest.mark.parametrize(
    ("memory", "caches", "words"),
    [
        (800_000, CACHES, "; fits this machine's L2 cache (1.0 MB)"),
        (8000, CACHES, "; fits this machine's L1 cache (32.8 kB)"),
        (8_000_000, CACHES, "; larger than any cache of this machine (1.0 MB)"),
        (8_000_000, (), "; this machine does not say what caches it has"),
    ],
)
def test_the_cache_that_the_memory_fits_in(memory: int, caches: tuple[Cache, ...], words: str) -> None:
    assert in_words(planned(memory, caches=caches))[2].endswith(words)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (1500, "about 1.5 seconds an epoch"),
        (200_000, "about 3.3 minutes an epoch"),
        (8_000_000, "about 2.2 hours an epoch"),
        (4_000_000_000, "about 46.3 days an epoch"),
    ],
)
def test_the_time_of_an_epoch_is_projected(rows: int, words: str) -> None:
    plan = planned(800_000, rows)
    assert plan.epoch_seconds == rows / 1000
    assert words in "\n".join(in_words(plan))


def test_a_plan_of_one_row_is_said_as_of_one() -> None:
    words = "\n".join(in_words(planned(800_000, rows=1, step_rows=1)))
    assert "all inner products of 1 row: " in words
    assert "in 10 steps of 1 row on this machine's cpu, without reading files" in words
    assert "an epoch" not in words


def test_memory_that_could_not_be_built_is_no_number() -> None:
    plan = planned(800_000, epsilon=0.01)
    assert '"needed_bytes":null' in plan.model_dump_json()
    assert "and 1% would take more memory than could be built (" in "\n".join(in_words(plan))


def test_a_bound_that_says_nothing_is_said_so() -> None:
    words = "\n".join(in_words(planned(100)))
    assert "this memory is too small for them" in words
    assert "no less than full tables have" in words
