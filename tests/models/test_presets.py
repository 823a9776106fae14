import pytest

from thimble.models.presets import CRITEO_KAGGLE_ROWS, CRITEO_TB_ROWS, embedding_for, full_rows, preset
from thimble.models.spec import BlockEmbedding, Categorical, FullEmbedding, RobeEmbedding


def test_table_lengths() -> None:
    assert (len(CRITEO_TB_ROWS), sum(CRITEO_TB_ROWS)) == (26, 187_767_399)
    assert (len(CRITEO_KAGGLE_ROWS), sum(CRITEO_KAGGLE_ROWS)) == (26, 33_762_577)


@pytest.mark.parametrize(
    ("name", "full_gb", "memory", "dense_arch", "over_arch", "dim"),
    [
        ("criteo-tb", 96.1, 10_000_000, [512, 256, 128], [1024, 1024, 512, 256, 1], 128),
        ("criteo-kaggle", 2.16, 10_000_000, [512, 256, 64, 16], [512, 256, 1], 16),
        ("demo", 96.1, 14_400_000, [512, 256, 128], [1024, 1024, 512, 256, 1], 128),
    ],
)
def test_presets(name: str, full_gb: float, memory: int, dense_arch: list[int], over_arch: list[int], dim: int) -> None:
    spec = preset(name)
    assert int(spec.model_dump()["full_table_bytes"]) / 1e9 == pytest.approx(full_gb, rel=0.002)
    assert spec.model_dump()["embedding_bytes"] == memory
    assert spec.dense_arch == dense_arch
    assert spec.over_arch == over_arch
    assert spec.embedding_dim == dim
    assert spec.feature_names == [*(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))]
    assert {field.kind for field in spec.fields} == {"hex"}
    assert preset(name) == spec
    assert preset(name, seed=1) != spec


def test_unknown_preset_and_scheme() -> None:
    with pytest.raises(ValueError, match="no preset 'netflix'; there are criteo-tb, criteo-kaggle and demo"):
        preset("netflix")
    with pytest.raises(ValueError, match="no scheme 'cuckoo'; there are block"):
        embedding_for("cuckoo", [Categorical(name="a", kind="int", rows=3)], 8, 1000, 4, 0)


def test_memory_is_rounded_down_to_whole_chunks_and_must_hold_two() -> None:
    fields = [Categorical(name="a", kind="int", rows=3), Categorical(name="b", kind="string", rows=5)]
    for scheme in ("block", "robe-v1", "robe-v2"):
        made = embedding_for(scheme, fields, 8, 1003, 16, 0)
        assert isinstance(made, BlockEmbedding | RobeEmbedding)
        assert made.memory_length == 240
        with pytest.raises(ValueError, match="127 bytes does not hold two chunks of 16 floats"):
            embedding_for(scheme, fields, 8, 127, 16, 0)


def test_robe_offsets_and_full_tables() -> None:
    fields = [Categorical(name=f"f{i}", kind="int", rows=n) for i, n in enumerate([3, 5, 7])]
    robe = embedding_for("robe-v2", fields, 8, 1000, 4, 0)
    assert isinstance(robe, RobeEmbedding)
    assert robe.offsets == [0, 3, 8]
    assert embedding_for("full", fields, 8, 1, 4, 0) == FullEmbedding(table_rows=[3, 5, 7])
    assert full_rows(Categorical(name="s", kind="string", rows=5)) == 40
