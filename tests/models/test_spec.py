from typing import Any

import pytest
from pydantic import ValidationError

from testing.samples import SCHEMES, small_spec
from thimble.models.spec import GoldenRows, Metrics, ModelSpec, Precision, PrecisionCost, Provenance, layer_widths


def complete_spec(scheme: str) -> ModelSpec:
    spec = small_spec(scheme)
    golden: dict[str, list[int | float | str | None]] = {name: [1, None] for name in spec.dense}
    golden |= {field.name: ["a", None] for field in spec.fields}
    return spec.model_copy(
        update={
            "provenance": Provenance(source="x.csv", rows_trained=9, epochs=1, batch_size=3, seed=0, tool="thimble 1"),
            "metrics": Metrics(rows=5, base_rate=0.2, log_loss=0.5, auc=0.7, auc_interval=(0.6, 0.8)),
            "precision": Precision(memory="fp16", mlps="int8"),
            "precision_cost": PrecisionCost(rows=5, auc=1e-5, log_loss=-1e-5, logit_mean=0.1, logit_largest=0.2),
            "golden": GoldenRows(features=golden, scores=[0.25, 0.5]),
        }
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_json_round_trip(scheme: str) -> None:
    spec = complete_spec(scheme)
    text = spec.model_dump_json()
    assert ModelSpec.model_validate_json(text) == spec
    assert ModelSpec.model_validate(spec.model_dump()) == spec
    assert ModelSpec.model_validate_json(text).model_dump_json() == text
    assert spec.model_dump()["full_table_bytes"] == 7 * 50 * 20 * 4
    assert spec.model_dump()["embedding_bytes"] == (2000 if scheme != "full" else 7 * 50 * 8 * 20 * 2)
    assert ModelSpec.model_validate_json(spec.model_dump_json(exclude_none=True)) == spec


@pytest.mark.parametrize("scheme", SCHEMES)
def test_fp16_halves_the_embeddings(scheme: str) -> None:
    whole = small_spec(scheme)
    halved = whole.model_copy(update={"precision": Precision(memory="fp16")})
    assert 2 * halved.embedding_bytes == whole.embedding_bytes
    assert halved.full_table_bytes == whole.full_table_bytes


def test_precision_in_words() -> None:
    assert str(Precision()) == "fp32"
    assert str(Precision(memory="fp16", mlps="int8")) == "fp16 embeddings, int8 MLPs"


def changed(**changes: Any) -> dict[str, Any]:
    return {**small_spec("block").model_dump(), **changes}


def field(name: str) -> dict[str, Any]:
    return {"name": name, "kind": "hex", "rows": 3}


BLOCK = small_spec("block").model_dump()["embedding"]
ROBE = small_spec("robe-v1").model_dump()["embedding"]
GOLDEN = {name: [1.0] for name in small_spec().dense} | {field.name: ["a"] for field in small_spec().fields}


@pytest.mark.parametrize(
    ("document", "culprits"),
    [
        (changed(dense=["d0", "d1", "f3"]), ["must be unique", "f3"]),
        (changed(dense=["d0", "d0", "d1"]), ["must be unique", "d0"]),
        (changed(dense=[]), ["dense"]),
        (changed(dense=["with\nbreak"]), ["dense"]),
        (changed(dense=[" padded"]), ["dense"]),
        (changed(fields=[]), ["fields"]),
        (changed(fields=[field("")]), ["fields", "name"]),
        (changed(dense_arch=[8, 21]), ["dense_arch must end with embedding_dim 20, not 21"]),
        (changed(dense_arch=[0, 20]), ["dense_arch"]),
        (changed(over_arch=[4, 2]), ["over_arch must end with 1, not 2"]),
        (changed(embedding_dim=0), ["embedding_dim"]),
        (changed(name="a/b"), ["name"]),
        (changed(name=".."), ["name"]),
        (changed(name=""), ["name"]),
        (changed(schema_version=2), ["schema_version 2", "(1)"]),
        (changed(precision="int8"), ["precision"]),
        (changed(precision={"mlps": "int3"}), ["precision", "mlps"]),
        (changed(precision={"memory": "int8"}), ["precision", "memory"]),
        (changed(embedding={**BLOCK, "a": BLOCK["a"][:-1]}), ["constants a must be [7, 3]"]),
        (changed(embedding={**BLOCK, "s": [row[:-1] for row in BLOCK["s"]]}), ["constants s must be [7, 3]"]),
        (changed(embedding={**BLOCK, "b": [[1 << 31] * 3] * 7}), ["embedding", "b"]),
        (changed(embedding={**BLOCK, "a": [[-1] * 3] * 7}), ["embedding", "a"]),
        (changed(embedding={**BLOCK, "memory_length": 999}), ["memory_length 999", "chunk_size 8"]),
        (changed(embedding={**BLOCK, "scheme": "cuckoo"}), ["cuckoo"]),
        (changed(embedding={**BLOCK, "version": 2}), ["embedding", "version"]),
        (changed(embedding={**ROBE, "offsets": [0] * 6}), ["6 offsets or table lengths for 7 fields"]),
        (changed(embedding={**ROBE, "memory_length": 8}), ["memory_length 8 must exceed chunk_size 8"]),
        (changed(embedding={"scheme": "full", "table_rows": [5]}), ["1 offsets or table lengths for 7 fields"]),
        (changed(embedding={"scheme": "full", "table_rows": [0] * 7}), ["table_rows"]),
        (changed(golden={"features": GOLDEN | {"f9": ["a"]}, "scores": [0.5]}), ["golden", "f9"]),
        (changed(golden={"features": {"d0": [1.0]}, "scores": [0.5]}), ["golden", "d1", "f6"]),
        (
            changed(golden={"features": GOLDEN | {"f2": ["a", "b"]}, "scores": [0.5]}),
            ["golden feature f2 has 2 values"],
        ),
        (changed(golden={"features": GOLDEN, "scores": []}), ["golden rows are empty"]),
    ],
)
def test_each_refusal_names_the_culprit(document: dict[str, Any], culprits: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelSpec.model_validate(document)
    for culprit in culprits:
        assert culprit in str(caught.value)


def test_specs_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        small_spec().name = "other"


def test_feature_names_dense_first() -> None:
    spec = small_spec(dense=2, kinds=("int", "hex"))
    assert spec.feature_names == ["d0", "d1", "f0", "f1"]


def test_layer_widths() -> None:
    assert layer_widths(13, [512, 128]) == [(13, 512), (512, 128)]
