"""reczoo/FuxiCTR at 0245987f: its preprocessing, loaders, models of the zoo and trainer, which saves after an epoch.

    git clone https://github.com/reczoo/FuxiCTR SOURCES/FuxiCTR
    git -C SOURCES/FuxiCTR checkout 0245987f
    pip install --no-deps polars==1.40.1 polars-runtime-32==1.40.1 keras_preprocessing h5py scikit-learn scipy joblib
    pip install pandas pyarrow pyyaml tqdm

Its DLRM does not take numbers as its loader gives them, [rows]; they are given to it as [rows, 1].
"""

import csv
import importlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.importing.checkpoints import (
    CHECKPOINT,
    DENSE,
    DIM,
    FIELDS,
    TABLE_ROWS,
    ScoredRows,
    Scores,
    Variant,
    stir,
    write_rows,
)


class Asked(NamedTuple):
    """A model of the zoo and its options; whether rows have numbers, and are given as they are in the file.

    `most` is about the largest of the last number, which is not scaled.
    """

    model: str
    options: dict[str, Any]
    numbers: bool = True
    raw: bool = False
    most: int = 2


def _dlrm(**options: Any) -> Asked:
    return Asked("DLRM", {"top_mlp_units": [24, 12], "bottom_mlp_units": [16]} | options)


def _dcnv2(**options: Any) -> Asked:
    deep = {"parallel_dnn_hidden_units": [24, 12], "stacked_dnn_hidden_units": [20, 10]}
    return Asked("DCNv2", {"num_cross_layers": 2} | deep | options)


HIDDEN = {"hidden_units": [24, 12]}
NORMALISED = {"batch_norm": True, "net_dropout": 0.2}
DEEPFM, WIDE, DNN = "DeepFM/DeepFM_torch", "WideDeep/WideDeep_torch", "DNN/DNN_torch"
COMPUTED = "its own code, numbers as [rows, 1]"
VARIANTS = {
    "DLRM of ids alone": Variant(_dlrm()._replace(numbers=False)),
    "DLRM": Variant(_dlrm(), (), COMPUTED),
    "DLRM, batch normalisation": Variant(_dlrm(batch_norm=True, top_mlp_dropout=0.2), (), COMPUTED),
    "DLRM, interaction_op=cat": Variant(_dlrm(interaction_op="cat"), (), COMPUTED),
    "DCNv2, parallel": Variant(_dcnv2()),
    "DCNv2, crossnet_only": Variant(_dcnv2(model_structure="crossnet_only")),
    "DCNv2, stacked": Variant(_dcnv2(model_structure="stacked")),
    "DCNv2, stacked_parallel": Variant(_dcnv2(model_structure="stacked_parallel")),
    "DCNv2, batch normalisation": Variant(_dcnv2(**NORMALISED)),
    "DCNv2, use_low_rank_mixture": Variant(_dcnv2(use_low_rank_mixture=True, low_rank=6, num_experts=3)),
    "DCN": Variant(Asked("DCN/DCN_torch", {"num_cross_layers": 2, "dnn_hidden_units": [24, 12]})),
    "DeepFM": Variant(Asked(DEEPFM, HIDDEN)),
    "DeepFM, batch normalisation": Variant(Asked(DEEPFM, HIDDEN | NORMALISED)),
    "DeepFM, a number of up to 200 that is not scaled": Variant(Asked(DEEPFM, HIDDEN, most=200)),
    "WideDeep": Variant(Asked(WIDE, HIDDEN)),
    "DNN": Variant(Asked(DNN, HIDDEN)),
    "DNN, batch normalisation": Variant(Asked(DNN, HIDDEN | NORMALISED)),
    "DNN, Tanh": Variant(Asked(DNN, HIDDEN | {"hidden_activations": "Tanh"})),
    "DNN, its vocabulary and normalisers": Variant(Asked(DNN, HIDDEN, raw=True)),
}


def make(variant: str, sources: Path, folder: Path) -> None:
    asked: Asked = VARIANTS[variant].asked
    sys.path.insert(0, str(sources / "FuxiCTR"))
    features, loaders = (importlib.import_module(f"fuxictr.{name}") for name in ("features", "pytorch.dataloaders"))
    encoder, parameters = _dataset(folder, asked)
    feature_map = features.FeatureMap("data", str(folder / "data"))
    feature_map.load(str(folder / "data/feature_map.json"), parameters | {"embedding_dim": DIM})
    common = {
        **{"model_id": "model", "model_root": str(folder), "optimizer": "adam", "learning_rate": 1e-2, "gpu": -1},
        **{"loss": "binary_crossentropy", "metrics": ["AUC"], "verbose": 0},
    }
    model = _class(sources / "FuxiCTR/model_zoo", asked.model)(
        feature_map, embedding_dim=DIM, **common, **asked.options
    )
    ids = "|".join(FIELDS)
    stir(model.state_dict(), rf"^embedding_layer.*\.({ids})\.weight", r"lr_layer|embedding_layers|bias$")
    forward = model.forward
    if asked.model == "DLRM":
        model.forward = lambda inputs: forward(
            {key: it.float().view(-1, 1) if key in DENSE else it for key, it in inputs.items()}
        )
    given = parameters | {"num_workers": 0, "batch_size": 256, "data_format": "parquet"}
    train, valid = loaders.RankDataLoader(feature_map, stage="train", **given).make_iterator()
    test = loaders.RankDataLoader(feature_map, stage="test", **given).make_iterator()
    model.fit(train, epochs=1, validation_data=valid)
    shutil.copy(model.checkpoint, folder / CHECKPOINT)
    single = model.predict(test)
    rows = _encoded(folder / "data/test.parquet")
    model.double().eval()
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]  # the models say float() of numbers
    with torch.no_grad():
        batch = {name: torch.tensor(column) for name, column in rows.columns().items()}
        double = model.forward(batch)["y_pred"].numpy()[:, 0]
    columns, said = _raw(folder, encoder) if asked.raw else (rows.columns(), None)
    write_rows(folder, columns, Scores(single, double), said)


def _dataset(folder: Path, asked: Asked) -> tuple[Any, dict[str, Any]]:
    """Rows as its preprocessing leaves them in folder/data, with what has learnt from them, and the parameters.

    Numbers stand among the other columns, and each is prepared in another way.
    """
    preprocess = importlib.import_module("fuxictr.preprocess")
    for part, rows, seed in (("train", 6000, 1), ("valid", 1000, 2), ("test", 1000, 3)):
        _write_csv(folder / f"{part}.csv", rows, seed, asked.most)
    number = {"active": True, "dtype": "float", "type": "numeric"}
    token = {"active": True, "dtype": "str", "type": "categorical"}
    columns = [
        number | {"name": ["I1", "I2"], "normalizer": "StandardScaler"},
        token | {"name": ["C1", "C2"]},
        number | {"name": "I3", "normalizer": "MinMaxScaler", "fill_na": 1.5},
        token | {"name": ["C3", "C4", "C5"]},
        number | {"name": "I4"},
    ]
    parameters = {
        **{"data_root": str(folder), "dataset_id": "data", "data_format": "csv", "min_categr_count": 2},
        **{f"{part}_data": str(folder / f"{part}.csv") for part in ("train", "valid", "test")},
        "feature_cols": [column for column in columns if asked.numbers or column["type"] == "categorical"],
        "label_col": {"name": "label", "dtype": "float"},
    }
    encoder = preprocess.FeatureProcessor(**parameters)
    paths = preprocess.build_dataset(encoder, **parameters)
    return encoder, parameters | dict(zip(("train_data", "valid_data", "test_data"), paths, strict=True))


def _write_csv(path: Path, rows: int, seed: int, most: int) -> None:
    """A tenth of all values is missing; rows that are not trained on have tokens that the others lack."""
    random = np.random.default_rng(seed)
    columns = {"label": (random.random(rows) < 0.4).astype(int).astype(str)}
    for name in DENSE:
        largest = most if name == DENSE[-1] else 200
        columns[name] = np.char.mod("%.4f", np.exp(random.normal(0, 1, rows)) * largest / 30)
    for name, distinct in zip(FIELDS, TABLE_ROWS, strict=True):
        values = (random.random(rows) ** 1.5 * (distinct if seed == 1 else distinct + 20)).astype(np.int64)
        columns[name] = np.char.mod("%08x", values * 2654435761 % 2**32)
    for name in (*DENSE, *FIELDS):
        columns[name][random.random(rows) < 0.1] = ""
    lines = [",".join(line) for line in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")


def _class(zoo: Path, name: str) -> Any:
    """DeepFM_torch/src/DeepFM.py has DeepFM."""
    name, folder = name.partition("/")[0], zoo / name
    spec = importlib.util.spec_from_file_location(name, folder / "src" / f"{name}.py")
    assert spec and spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def _encoded(path: Path) -> ScoredRows:
    """Rows as the model takes them, in float64."""
    frame = importlib.import_module("pandas").read_parquet(path)
    numbers = [name for name in DENSE if name in frame]
    return ScoredRows(frame[numbers].to_numpy(np.float64), frame[FIELDS].to_numpy(np.int64))


def _raw(folder: Path, encoder: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same rows as they are in the file, and what `import` is told of their preprocessing."""
    with (folder / "test.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    scaled = [encoder.processor_dict[f"{name}::normalizer"].normalizer for name in ("I1", "I2", "I3")]
    numbers = [
        *({"missing": 0, "centre": float(it.mean_[0]), "scale": float(it.scale_[0])} for it in scaled[:2]),
        {"missing": 1.5, "centre": float(scaled[2].data_min_[0]), "scale": float(1 / scaled[2].scale_[0])},
        {"missing": 0, "centre": 0, "scale": 1},
    ]
    vocabulary = json.loads((folder / "data/feature_vocab.json").read_text())
    fields = [
        {"name": name, "ids": {"vocabulary": "data/feature_vocab.json", "missing": last, "unknown": last}}
        for name in FIELDS
        for last in (vocabulary[name]["__OOV__"],)
    ]
    columns = {name: [line[name] for line in lines] for name in (*DENSE, *FIELDS)}
    return columns, {"dense": DENSE, "numbers": numbers, "kind": "string", "fields": fields}
