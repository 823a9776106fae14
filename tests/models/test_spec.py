import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from testing.samples import SCHEMES, small_spec
from thimble.models.directory import fill
from thimble.models.provenance import Provenance
from thimble.models.quantization import MemoryPrecision
from thimble.models.spec import (
    GoldenFeatures,
    GoldenRows,
    Metrics,
    ModelSpec,
    Precision,
    PrecisionCost,
    SpecError,
    parse_spec,
)


def complete_spec(scheme: str) -> ModelSpec:
    spec = small_spec(scheme)
    golden: GoldenFeatures = {name: [1, None] for name in spec.dense}
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


@pytest.mark.parametrize(("memory", "stored"), [("int8", 1004), ("int4", 504)])
def test_integers_are_counted_with_their_step(memory: MemoryPrecision, stored: int) -> None:
    spec = small_spec(precision=memory)
    assert spec.embedding_bytes == stored
    assert str(spec.precision) == f"{memory} embeddings, fp32 MLPs"


def test_precision_in_words() -> None:
    assert str(Precision()) == "fp32"
    assert str(Precision(memory="fp16", mlps="int8")) == "fp16 embeddings, int8 MLPs"


def changed(**changes: Any) -> dict[str, Any]:
    return {**small_spec("block").model_dump(), **changes}


def field(name: str) -> dict[str, Any]:
    return {"name": name, "kind": "hex", "rows": 3}


DLRM = small_spec().model_dump()["architecture"]
BLOCK = small_spec("block").model_dump()["embedding"]
ROBE = small_spec("robe-v1").model_dump()["embedding"]
FULL = small_spec("full").model_dump()["embedding"]
DIRECTORY = fill([np.arange(9)] * 7).directory.model_dump()


def index(**changes: Any) -> dict[str, Any]:
    return {"scheme": "full", "version": 2, "directory": DIRECTORY | changes}


GOLDEN = {name: [1.0] for name in small_spec().dense} | {field.name: ["a"] for field in small_spec().fields}


@pytest.mark.parametrize(
    ("document", "culprits"),
    [
        (changed(dense=["d0", "d1", "f3"]), ["must be unique", "f3"]),
        (changed(dense=["d0", "d0", "d1"]), ["must be unique", "d0"]),
        (changed(dense=[]), ["dense_arch must be empty, as dense is"]),
        (changed(architecture={**DLRM, "dense_arch": []}), ["dense_arch must end with embedding_dim 20, not None"]),
        (changed(dense=[], fields=[]), ["dense and fields are both empty; a model has at least one feature"]),
        (changed(dense=["with\nbreak"]), ["dense"]),
        (changed(dense=[" padded"]), ["dense"]),
        (changed(fields=[]), ["scheme block is for models with fields, and this one has none"]),
        (changed(embedding={"scheme": "none"}), ["scheme none is for models without fields, and this one has 7"]),
        (changed(fields=[field("")]), ["fields", "name"]),
        (changed(architecture={**DLRM, "dense_arch": [8, 21]}), ["dense_arch must end with embedding_dim 20, not 21"]),
        (changed(architecture={**DLRM, "dense_arch": [0, 20]}), ["dense_arch"]),
        (changed(architecture={**DLRM, "over_arch": [4, 2]}), ["over_arch must end with 1, not 2"]),
        (changed(architecture={**DLRM, "kind": "transformer"}), ["architecture", "kind"]),
        (changed(embedding_dim=0), ["embedding_dim"]),
        (changed(name="a/b"), ["name"]),
        (changed(name=".."), ["name"]),
        (changed(name=""), ["name"]),
        (changed(schema_version=3), ["schema_version 3", "(2)"]),
        (changed(precision="int8"), ["precision"]),
        (changed(precision={"mlps": "int3"}), ["precision", "mlps"]),
        (changed(precision={"memory": "int2"}), ["precision", "memory"]),
        (
            changed(precision={"memory": "int4"}, embedding=ROBE),
            ["int4 embeddings are for scheme block; robe-v1"],
        ),
        (
            changed(precision={"memory": "int8"}, fields=[], embedding={"scheme": "none"}),
            ["a model without fields has no embeddings, so none that are int8"],
        ),
        (changed(precision={"memory": "int8"}, embedding=FULL), ["int8 embeddings are for scheme block; full"]),
        (
            changed(precision={"memory": "int8"}, embedding=index()),
            ["int8 embeddings are for scheme block; full"],
        ),
        (
            changed(precision={"memory": "int4"}, embedding=small_spec(chunk=5).embedding),
            ["int4 embeddings lie two in a byte, so chunk_size 5 must be even"],
        ),
        (changed(embedding={**BLOCK, "a": BLOCK["a"][:-1]}), ["constants a must be [7, 3]"]),
        (changed(embedding={**BLOCK, "s": [row[:-1] for row in BLOCK["s"]]}), ["constants s must be [7, 3]"]),
        (changed(embedding={**BLOCK, "b": [[1 << 31] * 3] * 7}), ["embedding", "b"]),
        (changed(embedding={**BLOCK, "a": [[-1] * 3] * 7}), ["embedding", "a"]),
        (changed(embedding={**BLOCK, "memory_length": 999}), ["memory_length 999", "chunk_size 8"]),
        (changed(embedding={**BLOCK, "scheme": "cuckoo"}), ["cuckoo"]),
        (changed(embedding={**BLOCK, "version": 2}), ["embedding", "version"]),
        (changed(embedding={**ROBE, "offsets": [0] * 6}), ["6 offsets for 7 fields"]),
        (changed(embedding={**ROBE, "offsets": [*range(6), -1]}), ["embedding", "offsets", "6"]),
        (changed(embedding={**ROBE, "offsets": [*range(6), 1 << 60]}), ["embedding", "offsets", "6"]),
        (changed(embedding={**ROBE, "constants": [1, 2, 1 << 31]}), ["embedding", "constants", "2"]),
        (changed(embedding={**ROBE, "memory_length": 8}), ["memory_length 8 must exceed chunk_size 8"]),
        (changed(embedding={**FULL, "table_rows": [5]}), ["1 table lengths for 7 fields"]),
        (changed(embedding={**FULL, "table_rows": [0] * 7}), ["table_rows"]),
        (changed(embedding={**FULL, "version": 3}), ["embedding", "full", "version"]),
        (changed(embedding=index(buckets=[1] * 6)), ["buckets of 6 fields for 7 fields"]),
        (changed(embedding=index(buckets=[0] * 7)), ["embedding", "buckets"]),
        (changed(embedding=index(a=[[1, 2]] * 6)), ["constants a must be [7, 2]"]),
        (changed(embedding=index(s=[[1, 2, 3]] * 7)), ["constants s must be [7, 2]"]),
        (changed(embedding=index(b=[[1, 1 << 31]] * 7)), ["embedding", "directory", "b"]),
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


def test_a_spec_is_read_where_there_is_neither_torch_nor_onnx() -> None:
    modules = "thimble.models.features, thimble.models.presets, thimble.models.schemes, thimble.models.architectures"
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "numpy" in loaded and not {"torch", "onnx", "onnxruntime"} & set(loaded)


def test_specs_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        small_spec().name = "other"


def test_feature_names_dense_first() -> None:
    spec = small_spec(dense=2, kinds=("int", "hex"))
    assert spec.feature_names == ["d0", "d1", "f0", "f1"]


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (changed(separator="|"), "separator"),
        (changed(architecture={**DLRM, "cross_layers": 3}), "architecture.dlrm.cross_layers"),
        (changed(embedding={**BLOCK, "hot_rows": 9}), "embedding.block.hot_rows"),
        (changed(fields=[{**field("f0"), "length": 4}]), "fields.0.length"),
    ],
)
def test_an_unknown_key_is_refused_by_its_name(document: dict[str, Any], place: str) -> None:
    with pytest.raises(SpecError, match=f"^{place} is a key that this program does not know$"):
        parse_spec(json.dumps(document))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": 99}', json.dumps(changed(fields=[]))])
def test_what_is_no_spec_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(text)
    assert "\n" not in str(caught.value)
