"""Models of other architectures, in the layouts of other projects, which score as they did there."""

from pathlib import Path

import pytest
import torch

from tests.export.conftest import Run
from tests.export.importing.reference import TABLE_ROWS, made_dlrm, made_rows, write_expected, write_features
from tests.export.importing.zoo import FIELDS, Zoo, deepctr, fuxictr, torchrec_dcn
from thimble.export.scoring.evaluate import read_spec


def imported(run: Run, folder: Path, zoo: Zoo, format: str, *options: str, dense: bool = True) -> str:
    """What an import says of 200 rows with expected scores; it succeeds."""
    torch.save(zoo.state, "model.pt")
    numbers, ids = made_rows(made_dlrm(), 200)
    scores = zoo.score(numbers, ids)
    expected = write_expected(folder / "expected.csv", numbers if dense else numbers[:, :0], ids, scores)
    features = write_features(folder / "f.yaml", [*FIELDS])
    if not dense:
        features.write_text(features.read_text().replace("[I1, I2, I3]", "[]"))
    given = ("--features", features, "--expect", expected, *options)
    said = run("import", "model.pt", "--format", format, *given)
    assert said.status == 0, said.err
    assert scores.std() > 0.01  # else they would say little
    return said.out


@pytest.mark.parametrize(
    "kind", ["mlp", "wide-deep", "deepfm", "dcnv2 stacked parallel", "dcnv2 parallel", "dcnv2 alone"]
)
def test_fuxictrs_models_score_as_they_did(run: Run, tmp_path: Path, kind: str) -> None:
    assert "200 rows, scores within" in imported(run, tmp_path, fuxictr(kind), "fuxictr")
    spec = read_spec(tmp_path / "artifacts/model/1/model.onnx")
    assert spec.architecture.kind == kind.split()[0]
    assert [field.rows for field in spec.fields] == [*TABLE_ROWS]


def test_fuxictrs_dlrm_without_numbers_has_no_dense_vector(run: Run, tmp_path: Path) -> None:
    assert "200 rows, scores within" in imported(run, tmp_path, fuxictr("dlrm"), "fuxictr", dense=False)


@pytest.mark.parametrize(("kind", "norms"), [("dcnv2", True), ("deepfm", False), ("wide-deep", True), ("mlp", False)])
def test_deepctrs_models_score_as_they_did(run: Run, tmp_path: Path, kind: str, norms: bool) -> None:
    arch = ["--arch", kind] if kind in ("deepfm", "wide-deep") else []
    assert "200 rows, scores within" in imported(run, tmp_path, deepctr(kind, norms), "deepctr-torch", *arch)
    assert read_spec(tmp_path / "artifacts/model/1/model.onnx").architecture.kind == kind


def test_torchrecs_dlrm_dcn_scores_as_it_did(run: Run, tmp_path: Path) -> None:
    assert "200 rows, scores within" in imported(run, tmp_path, torchrec_dcn(), "torchrec")


def changed(zoo: Zoo, **tensors: torch.Tensor) -> Zoo:
    return Zoo({**zoo.state, **{key.replace("__", "."): value for key, value in tensors.items()}}, zoo.score)


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
