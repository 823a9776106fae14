"""The preprocessing of models that were trained elsewhere: the same in numpy, torch and ONNX Runtime."""

import json
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from testing.samples import random_batch, small_spec
from thimble.export.artifact.agreement import numpy_scores, onnx_scores, onnx_session
from thimble.export.artifact.graph import build
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.nn.registry import recommender
from thimble.models.nn.transforms import Scaled
from thimble.models.spec import ModelSpec, SpecError, parse_spec
from thimble.models.transforms.criteo import CriteoTransform
from thimble.models.transforms.scaled import LARGEST, Logarithm, ScaledColumn, ScaledTransform

NAN = float("nan")
NUMBERS = np.array(
    [
        0,
        -0.0,
        1,
        -1,
        2.5,
        -2.5,
        9,
        312261,
        -312261,
        1.7e9,
        1e-45,
        -1e-45,
        1e38,
        -1e38,
        3.4028235e38,
        -3.4028235e38,
        NAN,
    ],
    np.float32,
)
COLUMNS = [
    ScaledColumn(),
    ScaledColumn(missing=-1),
    ScaledColumn(log=Logarithm(shift=1, least=1)),
    ScaledColumn(log=Logarithm(shift=3, least=1), missing=2),
    ScaledColumn(log=Logarithm(shift=0, least=1e-30), centre=4, scale=0.5),
    ScaledColumn(log=Logarithm(shift=1e30, least=1e30), scale=1e30),
    ScaledColumn(centre=12.5, scale=3.25),
    ScaledColumn(centre=-1e30, scale=1e-30, missing=1e30),
    ScaledColumn(centre=1e30, scale=1e-30, missing=-1e30),
]


def column(transform: ScaledTransform, values: npt.ArrayLike) -> Floats:
    """What becomes of numbers of the only column."""
    return transform.apply(np.array(values, np.float32).reshape(-1, 1))[:, 0]


def with_columns(columns: list[ScaledColumn]) -> tuple[ModelSpec, Batch]:
    """A model with such columns, and rows in which each of them has all the numbers."""
    plain = small_spec(dense=len(columns))
    spec = ModelSpec.model_validate(dict(plain) | {"dense_transform": ScaledTransform(columns=columns)})
    dense = np.repeat(NUMBERS[:, None], len(columns), axis=1)
    return spec, Batch(dense, random_batch(spec, len(dense)).ids)


@pytest.mark.parametrize("columns", [COLUMNS, [ScaledColumn(), *COLUMNS[6:]]], ids=["some logarithms", "none"])
def test_numpy_torch_and_onnx_make_the_same_of_numbers(tmp_path: Path, columns: list[ScaledColumn]) -> None:
    spec, batch = with_columns(columns)
    assert isinstance(spec.dense_transform, ScaledTransform)
    by_numpy = spec.dense_transform.apply(batch.dense)
    by_torch = Scaled(spec.dense_transform)(torch.from_numpy(batch.dense)).numpy()
    torch.manual_seed(0)
    model = recommender(spec).eval()
    graph = build(spec, model)
    assert ("Log" in {node.op_type for node in graph.graph.node}) == (columns is COLUMNS)
    onnx.save_model(graph, tmp_path / "model.onnx")
    scores = onnx_scores(onnx_session(str(tmp_path / "model.onnx")), batch)
    (clip,) = [node for node in graph.graph.node if node.op_type == "Clip"]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(clip.output[0], onnx.TensorProto.FLOAT, None))
    (tmp_path / "inner.onnx").write_bytes(graph.SerializeToString())
    (by_onnx,) = onnx_session(str(tmp_path / "inner.onnx")).run([clip.output[0]], batch._asdict())
    assert by_numpy.dtype == by_torch.dtype == by_onnx.dtype == np.float32
    assert by_numpy.shape == (len(NUMBERS), spec.dense_transform.width(len(spec.dense)))
    assert (np.abs(by_numpy) <= np.float32(LARGEST)).all()  # also false for NaN
    np.testing.assert_allclose(by_torch, by_numpy, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(by_onnx, by_numpy, rtol=1e-6, atol=1e-6)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    np.testing.assert_allclose(scores, numpy_scores(spec, weights, batch), atol=1e-5)
    assert np.isfinite(scores).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=10))
def test_order_is_kept_and_nothing_overflows(values: list[float]) -> None:
    for it in COLUMNS:
        inputs = column(ScaledTransform(columns=[it]), sorted(values))
        assert (np.diff(inputs) >= 0).all() and (np.abs(inputs) <= np.float32(LARGEST)).all()


KNOWN = [0, 1, 2.5, 312261, -5]


@pytest.mark.parametrize(
    ("transform", "expected", "missing"),
    [
        (ScaledTransform.none(1), KNOWN, 0),
        (ScaledTransform.log(1), np.log([1, 2, 3.5, 312262, 1]), 0),
        (ScaledTransform.log2(1), np.log2([1, 2, 3.5, 312262, 1]), 0),
        (ScaledTransform.standardised([2], [4]), (np.array(KNOWN) - 2) / 4, -0.5),
        (
            ScaledTransform(columns=[ScaledColumn(log=Logarithm(shift=3, least=1))]),
            np.log([3, 4, 5.5, 312264, 1]),
            np.log(3),
        ),
        (ScaledTransform(columns=[ScaledColumn(centre=-5, scale=10, missing=5)]), (np.array(KNOWN) + 5) / 10, 1),
    ],
    ids=["none", "log", "log2", "standardised", "torchrec", "min-max"],
)
def test_recipes(transform: ScaledTransform, expected: list[float] | Floats, missing: float) -> None:
    np.testing.assert_allclose(column(transform, KNOWN), expected, rtol=1e-6)
    np.testing.assert_allclose(column(transform, [NAN]), [missing], rtol=1e-6)


def test_columns_keep_apart() -> None:
    transform = ScaledTransform.standardised([1, 2], [1, 4])
    np.testing.assert_array_equal(transform.apply(np.array([[3, 10], [NAN, 2]], np.float32)), [[2, 2], [-1, 0]])


def test_its_logarithm_is_criteos() -> None:
    dense = NUMBERS[:, None]
    np.testing.assert_array_equal(ScaledTransform.log(1).apply(dense), CriteoTransform().apply(dense))


def test_drawn_numbers_are_brought_to_the_sizes_of_the_columns() -> None:
    transform = ScaledTransform(columns=[ScaledColumn(centre=0.02, scale=0.001), *ScaledTransform.log(1).columns])
    drawn = np.array([[8000, 8000], [-3, -3], [NAN, NAN]], np.float32)
    np.testing.assert_allclose(transform.suited(drawn), [[0.03, 8000], [0.017, -3], [NAN, NAN]], rtol=1e-6)


def test_a_file_tells_it_again() -> None:
    spec, _ = with_columns(COLUMNS)
    assert parse_spec(spec.model_dump_json()) == spec


def test_it_says_what_it_does() -> None:
    assert str(ScaledTransform.none(2)) == "scaled: x, a missing number as 0"
    log2 = ScaledTransform.log2(13)
    assert str(log2) == "scaled: ln(max(x + 1, 1)) / 0.693147, a missing number as 0"
    assert log2.figures([f"I{i}" for i in range(13)]) == []
    shifted = ScaledColumn(log=Logarithm(shift=-2, least=0.5), centre=-1, scale=2, missing=7)
    mixed = ScaledTransform(columns=[shifted, ScaledColumn(centre=3)])
    assert str(mixed) == "scaled: each column by a formula of its own"
    assert mixed.figures(["age", "price"]) == [
        "age: (ln(max(x - 2, 0.5)) + 1) / 2, a missing number as 7",
        "price: x - 3, a missing number as 0",
    ]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"scale": 0}, "columns.0.scale: must lie between 1e-30 and 1e+30, not 0"),
        ({"scale": -1}, "columns.0.scale: must lie between 1e-30 and 1e+30, not -1"),
        ({"scale": "NaN"}, "columns.0.scale: must lie between 1e-30 and 1e+30, not nan"),
        ({"centre": 1e39}, "columns.0.centre: must lie between -1e+30 and 1e+30, not 1e+39"),
        ({"centre": "NaN"}, "columns.0.centre: must lie between -1e+30 and 1e+30, not nan"),
        ({"missing": "Infinity"}, "columns.0.missing: must lie between -1e+30 and 1e+30, not inf"),
        ({"missing": None}, "columns.0.missing: Input should be a valid number"),
        ({"log": {"shift": 1, "least": 0}}, "columns.0.log.least: must lie between 1e-30 and 1e+30, not 0"),
        ({"log": {"shift": -1e39, "least": 1}}, "columns.0.log.shift: must lie between -1e+30 and 1e+30, not -1e+39"),
        ({"log": {"shift": 1}}, "columns.0.log.least: Field required"),
        ({"log": True}, "columns.0.log: Input should be"),
        ({"mean": 0}, "columns.0.mean is a key that this program does not know"),
    ],
)
def test_what_no_column_can_be_is_refused(entry: dict[str, object], sentence: str) -> None:
    document = small_spec(dense=1).model_dump() | {"dense_transform": {"kind": "scaled", "columns": [entry]}}
    with pytest.raises(SpecError, match=re.escape(f"dense_transform.scaled.{sentence}")):
        parse_spec(json.dumps(document))


def test_a_transformation_is_for_so_many_columns() -> None:
    with pytest.raises(ValueError, match="2 means for 1 standard deviations"):
        ScaledTransform.standardised([0, 1], [1])
    document = small_spec(dense=3).model_dump()
    with pytest.raises(ValidationError, match="dense_transform is for 2 columns, not 3"):
        ModelSpec.model_validate(document | {"dense_transform": ScaledTransform.none(2)})
