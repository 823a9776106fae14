"""Models of other architectures, in the layouts of other projects, which score as they did there."""

from pathlib import Path

import pytest
import torch

from tests.export.conftest import Run
from tests.export.importing.reference import (
    TABLE_ROWS,
    imported_scores,
    made_dlrm,
    made_rows,
    write_expected,
    write_features,
)
from tests.export.importing.zoo import FIELDS, Zoo, deepctr, fuxictr, torchrec_dcn
from thimble.export.importing.importer import Said, read_model
from thimble.export.importing.mapping import Format
from thimble.export.importing.parameters import Arch
from thimble.models.spec import ModelSpec


def check(folder: Path, zoo: Zoo, format: Format, arch: Arch | None = None, dense: bool = True) -> ModelSpec:
    """A checkpoint scores as it did, on 200 rows. Returns what it is."""
    torch.save(zoo.state, folder / "model.pt")
    numbers, ids = made_rows(made_dlrm(), 200)
    scores = zoo.score(numbers, ids)
    assert scores.std() > 0.01  # else they would say little
    features = write_features(folder / "f.yaml", [*FIELDS])
    if not dense:
        features.write_text(features.read_text().replace("[I1, I2, I3]", "[]"))
        numbers = numbers[:, :0]
    said = Said(features, arch=arch)
    assert imported_scores(folder / "model.pt", format, said, numbers, ids) == pytest.approx(scores.numpy(), abs=1e-6)
    return read_model(folder / "model.pt", format, said, "model").spec


@pytest.mark.parametrize(
    "kind", ["mlp", "wide-deep", "deepfm", "dcnv2 stacked parallel", "dcnv2 parallel", "dcnv2 alone"]
)
def test_fuxictrs_models_score_as_they_did(tmp_path: Path, kind: str) -> None:
    spec = check(tmp_path, fuxictr(kind), "fuxictr")
    assert spec.architecture.kind == kind.split()[0]
    assert [field.rows for field in spec.fields] == [*TABLE_ROWS]


def test_fuxictrs_dlrm_without_numbers_has_no_dense_vector(tmp_path: Path) -> None:
    check(tmp_path, fuxictr("dlrm"), "fuxictr", dense=False)


@pytest.mark.parametrize(("kind", "norms"), [("dcnv2", True), ("deepfm", False), ("wide-deep", True), ("mlp", False)])
def test_deepctrs_models_score_as_they_did(tmp_path: Path, kind: Arch, norms: bool) -> None:
    arch = kind if kind in ("deepfm", "wide-deep") else None
    assert check(tmp_path, deepctr(kind, norms), "deepctr-torch", arch).architecture.kind == kind


def test_torchrecs_dlrm_dcn_scores_as_it_did(tmp_path: Path) -> None:
    check(tmp_path, torchrec_dcn(), "torchrec")


def test_a_field_without_first_order_weights_has_none(tmp_path: Path) -> None:
    zoo = deepctr("deepfm")
    key = "linear_model.embedding_dict.C2.weight"
    own = zoo.state.pop(key)
    less = Zoo(zoo.state, lambda numbers, ids: without(zoo.score(numbers, ids), own[ids[:, 1], 0]))
    check(tmp_path, less, "deepctr-torch", "deepfm")


def without(scores: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    """Scores less a part of their logits."""
    return torch.sigmoid(torch.logit(scores) - part)


def test_a_model_with_first_order_weights_is_exported(run: Run, tmp_path: Path) -> None:
    zoo = fuxictr("deepfm")
    torch.save(zoo.state, "model.pt")
    numbers, ids = made_rows(made_dlrm(), 200)
    expected = write_expected(tmp_path / "expected.csv", numbers, ids, zoo.score(numbers, ids))
    features = write_features(tmp_path / "f.yaml", [*FIELDS])

    said = run("import", "model.pt", "--format", "fuxictr", "--features", features, "--expect", expected)

    assert said.status == 0, said.err
    assert "200 rows, scores within" in said.out


def changed(zoo: Zoo, **tensors: torch.Tensor) -> Zoo:
    return Zoo({**zoo.state, **{key.replace("__", "."): value for key, value in tensors.items()}}, zoo.score)


def lacking(zoo: Zoo, key: str) -> Zoo:
    return Zoo({name: value for name, value in zoo.state.items() if name != key}, zoo.score)


@pytest.mark.parametrize(
    ("zoo", "format", "fields", "sentence"),
    [
        (deepctr("deepfm"), "deepctr-torch", FIELDS, "has the keys of deepfm and wide-deep alike, and no file says"),
        (
            changed(deepctr("dcnv2"), crossnet__kernels=torch.ones(2, 27, 1)),
            "deepctr-torch",
            FIELDS,
            "crossnet.kernels is [2, 27, 1]; its cross layers have to have matrices",
        ),
        (
            changed(deepctr("mlp"), dnn__activation_layers__0__weight=torch.ones(1)),
            "deepctr-torch",
            FIELDS,
            "has activations with weights (dnn.activation_layers.0.weight)",
        ),
        (fuxictr("mlp"), "fuxictr", ("C1", "C2", "C3", "C9"), "has no table of C9; it has those of I1, C1, C2, I2, C3"),
        (fuxictr("mlp"), "fuxictr", ("C1", "C2", "C3"), "has a table of C4, and "),
        (
            changed(fuxictr("dcnv2 alone"), crossnet__U_list__0=torch.ones(1)),
            "fuxictr",
            FIELDS,
            "has cross layers that are mixtures of low rank (crossnet.U_list.0)",
        ),
        (
            changed(fuxictr("dcnv2 alone"), fc__weight=torch.ones(1, 5)),
            "fuxictr",
            FIELDS,
            "fc.weight takes 5 inputs, and the layers before it give 42",
        ),
        (
            changed(fuxictr("deepfm"), mlp__mlp__0__weight=torch.ones(9, 12)),
            "fuxictr",
            FIELDS,
            "mlp.mlp.0.weight takes 12 inputs, and 3 numbers and 4 embeddings of 6 are 42",
        ),
        (
            changed(fuxictr("mlp"), mlp__mlp__1__running_var=-torch.ones(9)),
            "fuxictr",
            FIELDS,
            "the normalisation after model.pt: mlp.mlp.0.weight has a variance below 0",
        ),
        (
            changed(fuxictr("mlp"), mlp__mlp__1__running_var=torch.ones(3)),
            "fuxictr",
            FIELDS,
            "mlp.mlp.1.running_var is [3], where 9 belong",
        ),
        (
            lacking(fuxictr("mlp"), "mlp.mlp.1.running_var"),
            "fuxictr",
            FIELDS,
            "the normalisation after model.pt: mlp.mlp.0.weight has no over_arch.norm.variance of number 1",
        ),
        (
            changed(fuxictr("mlp"), embedding_layer__embedding_layer__embedding_layers__I2__weight=torch.ones(5, 1)),
            "fuxictr",
            FIELDS,
            "embedding_layers.I2.weight is [5, 1], where 6 belong",
        ),
        (
            lacking(fuxictr("dcnv2 alone"), "crossnet.cross_layers.0.bias"),
            "fuxictr",
            FIELDS,
            "crossnet.cross_layers.0.weight is one of 2 cross layers, and not all of them are whole",
        ),
        (
            changed(fuxictr("dcnv2 alone"), crossnet__cross_layers__0__weight=torch.ones(42)),
            "fuxictr",
            FIELDS,
            "crossnet.cross_layers.0.weight is [42], and no matrix",
        ),
        (
            changed(torchrec_dcn(), inter_arch__crossnet__V_kernels__0=torch.ones(3, 30)),
            "torchrec",
            FIELDS,
            "W_kernels.0 and the other cross layers are not of one rank, but [3, 4]",
        ),
        (
            changed(deepctr("dcnv2"), crossnet__bias=torch.ones(2, 27, 1)),
            "deepctr-torch",
            FIELDS,
            "crossnet.bias is [2, 27, 1], where 81 belong",
        ),
        (
            changed(deepctr("dcnv2"), out__bias=torch.ones(3)),
            "deepctr-torch",
            FIELDS,
            "out.bias is [3], where 1 belong",
        ),
        (
            changed(deepctr("dcnv2"), linear_model__embedding_dict__C9__weight=torch.ones(9, 1)),
            "deepctr-torch",
            FIELDS,
            "model.pt has first-order weights of C9, and ",
        ),
        (fuxictr("mlp"), "deepctr-torch", FIELDS, "its keys are those of --format fuxictr"),
        (fuxictr("mlp"), "facebook", FIELDS, "its keys are those of --format fuxictr"),
    ],
)
def test_what_is_another_model_is_refused(
    run: Run, tmp_path: Path, zoo: Zoo, format: str, fields: tuple[str, ...], sentence: str
) -> None:
    torch.save(zoo.state, "model.pt")
    features = write_features(tmp_path / "f.yaml", [*fields])

    said = run("import", "model.pt", "--format", format, "--features", features)

    assert said.status == 1 and sentence in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "artifacts").exists()


def test_without_features_the_tables_are_named(run: Run) -> None:
    torch.save(fuxictr("mlp").state, "model.pt")
    said = run("import", "model.pt", "--format", "fuxictr")
    assert said.status == 1
    assert "model.pt has 7 tables (I1, C1, C2, I2, C3, I3, C4), and holds neither the names and kinds" in said.err
