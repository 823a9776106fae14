"""deepctr-torch 0.3.0: its models, after an epoch of its `fit`, as its documentation says to save them.

    pip install --no-deps deepctr-torch==0.3.0
    pip install scikit-learn scipy tqdm

requests, by which it looks for a newer version, is a stub.
"""

import importlib
import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock

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
    row_numbers,
    scored_rows,
    stir,
    write_features,
    write_rows,
)


class Asked(NamedTuple):
    """A model, its options, and its columns: all, `mixed` in another order, or fewer for the linear part."""

    model: str
    options: dict[str, Any]
    columns: str = "all"


def _cross(**options: Any) -> Asked:
    return Asked("DCN", {"cross_num": 2, "cross_parameterization": "matrix"} | options)


DEEPFM, WIDE = ("--arch", "deepfm"), ("--arch", "wide-deep")
VARIANTS = {
    "DCN, matrices": Variant(_cross()),
    "DCN, matrices, batch normalisation": Variant(_cross(dnn_use_bn=True, dnn_dropout=0.2)),
    "DCN, matrices, columns in another order": Variant(_cross()._replace(columns="mixed")),
    "DCN, vectors": Variant(_cross(cross_parameterization="vector")),
    "DCN without cross layers": Variant(_cross(cross_num=0, cross_parameterization="vector")),
    "DCNMix": Variant(Asked("DCNMix", {"cross_num": 2, "low_rank": 6, "num_experts": 3})),
    "DeepFM": Variant(Asked("DeepFM", {}), DEEPFM),
    "DeepFM, architecture not said": Variant(Asked("DeepFM", {})),
    "DeepFM, batch normalisation": Variant(Asked("DeepFM", {"dnn_use_bn": True, "dnn_dropout": 0.2}), DEEPFM),
    "DeepFM, use_fm=False": Variant(Asked("DeepFM", {"use_fm": False}), WIDE),
    "DeepFM, use_fm=False, said to be DeepFM": Variant(Asked("DeepFM", {"use_fm": False}), DEEPFM),
    "WDL": Variant(Asked("WDL", {}), WIDE),
    "WDL, linear part of ids alone": Variant(Asked("WDL", {}, columns="sparse"), WIDE),
    "WDL without a linear part": Variant(Asked("WDL", {}, columns="none")),
    "WDL, sigmoid": Variant(Asked("WDL", {"dnn_activation": "sigmoid"}), WIDE),
    "WDL, PReLU": Variant(Asked("WDL", {"dnn_activation": "prelu"}), WIDE),
    "WDL, the whole model saved": Variant(Asked("WDL", {}, columns="whole"), WIDE),
}


def make(variant: str, sources: Path, folder: Path) -> None:
    asked: Asked = VARIANTS[variant].asked
    sys.modules["requests"] = MagicMock()
    inputs, models = (importlib.import_module(f"deepctr_torch.{name}") for name in ("inputs", "models"))
    sparse = [inputs.SparseFeat(name, n, embedding_dim=DIM) for name, n in zip(FIELDS, TABLE_ROWS, strict=True)]
    dense = [inputs.DenseFeat(name, 1) for name in DENSE]
    both = dense[:2] + sparse[2:] + dense[2:] + sparse[:2] if asked.columns == "mixed" else sparse + dense
    linear = {"sparse": sparse, "none": []}.get(asked.columns, both)
    model = getattr(models, asked.model)(linear, both, dnn_hidden_units=(24, 12), init_std=0.3, **asked.options)
    stir(model.state_dict(), "^embedding_dict", "linear_model|bias$")
    training, rows = _training_rows(), scored_rows()
    rows = rows._replace(numbers=rows.numbers / rows.numbers.max())  # its recipe scales them to [0, 1]
    model.compile("sgd", "binary_crossentropy")
    labels = training.numbers[:, 0] + training.ids[:, 1] / 50 > 1
    columns = {name: np.array(column) for name, column in training.columns().items()}
    model.fit(columns, labels.astype(np.float32), batch_size=64, epochs=1, verbose=0)
    if asked.columns == "whole":
        torch.save(model, folder / CHECKPOINT)
        write_features(folder, row_numbers())
        return
    torch.save(model.state_dict(), folder / CHECKPOINT)
    columns = {name: np.array(column) for name, column in rows.columns().items()}
    single = model.predict(columns, 256)[:, 0]
    matrix = torch.from_numpy(np.stack([columns[name] for name in model.feature_index], axis=1)).double()
    with torch.no_grad():
        double = model.double().eval()(matrix)[:, 0].numpy()
    write_rows(folder, rows.columns(), Scores(single, double))


def _training_rows() -> ScoredRows:
    random = np.random.default_rng(3)
    numbers = random.random((2000, len(DENSE))).astype(np.float32)
    return ScoredRows(numbers, np.stack([random.integers(0, rows, 2000) for rows in TABLE_ROWS], axis=1))
