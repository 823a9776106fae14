import pytest

from thimble.models.architectures import ARCHITECTURES
from thimble.models.architectures.dcnv2 import DcnV2Architecture
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.architectures.own import OwnArchitecture
from thimble.models.presets import CRITEO_KAGGLE_ROWS, CRITEO_TB_ROWS, FEED_DENSE, FEED_ROWS, LOG_ROWS, NAMES, preset


def test_table_lengths() -> None:
    assert (len(CRITEO_TB_ROWS), sum(CRITEO_TB_ROWS)) == (26, 187_767_399)
    assert (len(CRITEO_KAGGLE_ROWS), sum(CRITEO_KAGGLE_ROWS)) == (26, 33_762_577)


@pytest.mark.parametrize(
    ("name", "full_gb", "memory", "dense_arch", "over_arch", "dim"),
    [
        ("criteo-tb", 96.1, 10_000_000, [512, 256, 128], [1024, 1024, 512, 256, 1], 128),
        ("criteo-kaggle", 2.16, 10_000_000, [512, 256, 64, 16], [512, 256, 1], 16),
        ("demo", 96.1, 7_200_000, [512, 256, 128], [1024, 1024, 512, 256, 1], 128),
    ],
)
def test_presets(name: str, full_gb: float, memory: int, dense_arch: list[int], over_arch: list[int], dim: int) -> None:
    spec = preset(name)
    assert int(spec.model_dump()["full_table_bytes"]) / 1e9 == pytest.approx(full_gb, rel=0.002)
    assert spec.model_dump()["embedding_bytes"] == memory
    assert isinstance(spec.architecture, DlrmArchitecture)
    assert spec.architecture.dense_arch == dense_arch
    assert spec.architecture.over_arch == over_arch
    assert spec.embedding_dim == dim
    assert spec.feature_names == [*(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))]
    assert {field.kind for field in spec.fields} == {"hex"}
    assert preset(name) == spec
    assert preset(name, seed=1) != spec


def test_mlperfs_dlrm_dcnv2() -> None:
    spec = preset("criteo-tb-v2")
    assert sum(field.rows for field in spec.fields) == 204_184_588
    assert spec.inputs[1].width == 214
    assert [field.bag.values if field.bag else 1 for field in spec.fields[19:]] == [12, 100, 27, 10, 3, 1, 1]
    assert {field.bag.pooling for field in spec.fields if field.bag} == {"sum"}
    assert (spec.embedding_dim, spec.embedding_bytes) == (128, 10_000_000)
    assert spec.architecture == DcnV2Architecture(
        dense_arch=[512, 256, 128], cross_layers=3, cross_rank=512, deep=[], over_arch=[1024, 1024, 512, 256, 1]
    )


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", NAMES)
def test_any_preset_with_any_architecture(name: str, arch: str) -> None:
    spec, own = preset(name, arch=arch), preset(name)
    assert spec.architecture.kind == arch
    assert (spec.embedding, spec.features) == (own.embedding, own.features)
    if name != "feed":  # it has sizes of each architecture's own
        assert not isinstance(spec.architecture, OwnArchitecture)
        assert not isinstance(own.architecture, OwnArchitecture)
        assert spec.architecture.over_arch == own.architecture.over_arch
    if arch == own.architecture.kind:
        assert spec == own


def test_feed() -> None:
    spec = preset("feed")
    assert spec.compression == pytest.approx(100, rel=0.01)
    assert [(field.name, field.kind) for field in spec.fields] == [(name, "int") for name in FEED_ROWS]
    assert spec.dense == FEED_DENSE
    assert preset("feed", seed=1) != spec


def test_every_preset_has_a_log() -> None:
    assert set(LOG_ROWS) == set(NAMES)
    assert all(preset(name).name == name for name in NAMES)


def test_unknown_preset() -> None:
    with pytest.raises(
        ValueError, match="no preset 'netflix'; there are criteo-tb, criteo-tb-v2, criteo-kaggle, feed and demo"
    ):
        preset("netflix")
