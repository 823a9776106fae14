"""Mapping files: what cannot be meant is said before a checkpoint is looked at."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.export.importing.reference import imported_scores, made_dlrm, made_rows, write_features
from tests.export.importing.zoo import Maker
from thimble.export.importing.importer import Said
from thimble.export.importing.mapping import FORMATS, read_mapping
from thimble.export.importing.weights import CheckpointError

DLRM = {
    "embeddings": "table{field}",
    "dense_arch.weight": "b{layer}",
    "over_arch.weight": "t{layer}",
}


def written(path: Path, parameters: dict[str, Any], **others: Any) -> Path:
    path.write_text(json.dumps({"architecture": "dlrm", "parameters": parameters} | others))
    return path


def over(**options: Any) -> dict[str, Any]:
    return DLRM | {"over_arch.weight": {"key": "t{layer}"} | options}


@pytest.mark.parametrize(
    ("parameters", "others", "sentence"),
    [
        (DLRM | {"over_arch.wieght": "x"}, {}, "over_arch.wieght is no parameter of dlrm; it has dense_arch.bias"),
        ({"embeddings": "t"}, {}, "parameters lack over_arch.weight, which dlrm has to have"),
        ({"embeddings": "t"}, {"optional": {"over_arch.weight": "t"}}, "parameters lack over_arch.weight"),
        (DLRM | {"dense_arch.norm.mean": "x"}, {}, "parameters lack dense_arch.norm.variance"),
        (DLRM, {"scheme": "robe"}, "embeddings is no parameter of robe"),
        (DLRM, {"scheme": "robe", "architecture": "mlp"}, "scheme robe is for architecture dlrm, not mlp"),
        (
            {"embeddings": "t{name}", "cross.weight": "c", "over_arch.last.weight": "o"},
            {"architecture": "dcnv2"},
            "parameters lack cross.bias",
        ),
        ({"embeddings": "t", "over_arch.weight": "o"}, {"architecture": "deepfm"}, "parameters lack first_order"),
        (DLRM | {"embeddings": "{field}.{field}"}, {}, "embeddings: {field}.{field} may have one of"),
        (DLRM | {"embeddings": "{x}"}, {}, "embeddings: {x} may have one of {field}, {layer}, {name}, once"),
        (
            DLRM | {"dense_arch.weight": "{name}"},
            {},
            "dense_arch.weight: {name} may have one of {field}, {layer}, once",
        ),
        (over(inputs=["lower"]), {}, "over_arch.weight cannot take its inputs as ['lower']"),
        (over(inputs=["dense", "lower", "upper"]), {}, "cannot take its inputs as"),
        (over(inputs=["padding", "dense", "lower"]), {}, "cannot take its inputs as"),
        (over(inputs=["numbers", "embeddings"]), {}, "cannot take its inputs as"),
        (over(inputs=["dense", "lower"], permutation=[0]), {}, "has inputs and a permutation, which says the same"),
        (
            DLRM | {"dense_arch.weight": {"key": "b{layer}", "permutation": [1, 0]}},
            {},
            "dense_arch.weight has a permutation; over_arch.weight of a dlrm alone may have one",
        ),
        (DLRM, {"prefixes": [""]}, "prefixes.0: String should have at least 1 character"),
    ],
)
def test_what_cannot_be_meant(
    tmp_path: Path, parameters: dict[str, Any], others: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(CheckpointError) as error:
        read_mapping(written(tmp_path / "map.yaml", parameters, **others))
    assert sentence in str(error.value) and str(error.value).startswith(str(tmp_path / "map.yaml"))


@pytest.mark.parametrize("path", sorted(FORMATS.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_those_that_are_shipped_can_be_meant(path: Path) -> None:
    assert read_mapping(path).architecture == path.stem


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "parameters: {x: a, x: b}\n"])
def test_a_key_is_there_once(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(CheckpointError, match=r"map\.yaml has a key twice, see line 1"):
        read_mapping(tmp_path / "map.yaml")


@pytest.mark.parametrize("order", [["numbers", "embeddings"], ["embeddings", "numbers"], None])
def test_numbers_come_before_or_after_embeddings(tmp_path: Path, order: list[str] | None) -> None:
    make = Maker()
    tables = [make.table(f"table{field}", rows, 6) for field, rows in enumerate((40, 7, 120, 3))]
    hidden, last = make.layer("top.0", 27, 9), make.layer("top.2", 9, 1)
    torch.save(make.state, tmp_path / "model.pt")
    numbers, ids = made_rows(made_dlrm(), 50)
    embeddings = [table(ids[:, field]) for field, table in enumerate(tables)]
    first: list[Tensor] = [numbers.double(), *embeddings] if order and order[0] == "numbers" else [*embeddings, numbers]
    expected = torch.sigmoid(last(torch.relu(hidden(torch.cat(first, 1)))))[:, 0]
    weight = {"key": "top.{layer}.weight"} | ({"inputs": order} if order else {})
    parameters = {"embeddings": "table{field}.weight", "over_arch.weight": weight, "over_arch.bias": "top.{layer}.bias"}

    said = Said(
        write_features(tmp_path / "f.yaml", ["C1", "C2", "C3", "C4"]),
        written(tmp_path / "map.yaml", parameters, architecture="mlp"),
    )
    scores = imported_scores(tmp_path / "model.pt", "map", said, numbers, ids)

    assert scores == pytest.approx(expected.numpy(), abs=1e-6)
