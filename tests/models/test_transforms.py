"""What is done with numbers: the same in numpy, torch and ONNX Runtime, whatever the column holds."""

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
from thimble.export.artifact.agreement import inner_session, numpy_scores, onnx_scores, onnx_session
from thimble.export.artifact.graph import build
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.nn.registry import recommender
from thimble.models.nn.transforms import PositiveLog, QuantileBins
from thimble.models.spec import ModelSpec
from thimble.models.transforms.base import NumberSample
from thimble.models.transforms.criteo import CriteoTransform
from thimble.models.transforms.quantiles import QuantileColumn, QuantileTransform

random = np.random.default_rng(0)
NORMAL = random.normal(size=4000)
COLUMNS: dict[str, npt.ArrayLike] = {
    "normal": NORMAL,
    "below zero": -np.exp(2 * NORMAL),
    "long tails": np.sinh(4 * NORMAL),
    "tiny": 1e-6 * NORMAL,
    "huge": 1e12 * NORMAL,
    "far from zero": 1.7e9 + 1e6 * NORMAL,
    "two values": random.integers(0, 2, 4000),
    "two hills": random.choice([-1000, 1000], 4000) + NORMAL,
    "mostly zero": np.where(random.random(4000) < 0.99, 0, np.exp(NORMAL)),
    "counts": random.poisson(2, 4000),
    "largest": random.choice([-3.4028235e38, 0, 3.4028235e38], 4000),
    "smallest": random.integers(-50, 50, 4000) * 1e-45,
    "one bad value": [*NORMAL[1:], 1e38],
    "few values": [3.0, -2.0, 7.0],
    "one value": [3.0],
    "constant": [-5.0] * 100,
    "none": [],
}
EXTREMES = np.array([0, -0.0, 1e-45, -1e-45, 1, -1, 1e38, -1e38, 3.4028235e38, -3.4028235e38, np.nan], np.float32)


def sample(name: str, missing: float = 0.1) -> NumberSample:
    return NumberSample(np.array(COLUMNS[name], np.float32), missing)


def learnt(name: str, missing: float = 0.1) -> QuantileTransform:
    return QuantileTransform.learn([sample(name, missing)])


def applied(transform: QuantileTransform, values: Floats | list[float]) -> Floats:
    """A column of numbers -> [values, bins + 1]."""
    return transform.apply(np.array(values, np.float32).reshape(-1, 1))


def with_all_columns() -> tuple[ModelSpec, Batch]:
    """A model with a column of each kind, and rows of their values and of extreme ones."""
    transform = QuantileTransform.learn([sample(name) for name in COLUMNS])
    plain = small_spec(dense=len(COLUMNS))
    spec = ModelSpec.model_validate(dict(plain) | {"dense_transform": transform})
    seen = [random.choice(sample(name).values, 50) if name != "none" else np.zeros(50) for name in COLUMNS]
    dense = np.concatenate([np.stack(seen, axis=1), np.repeat(EXTREMES[:, None], len(COLUMNS), axis=1)])
    return spec, Batch(dense.astype(np.float32), random_batch(spec, len(dense)).ids)


def test_numpy_torch_and_onnx_make_the_same_of_numbers(tmp_path: Path) -> None:
    spec, batch = with_all_columns()
    assert isinstance(spec.dense_transform, QuantileTransform)
    by_numpy = spec.dense_transform.apply(batch.dense)
    by_torch = QuantileBins(spec.dense_transform)(torch.from_numpy(batch.dense)).numpy()
    torch.manual_seed(0)
    model = recommender(spec).eval()
    onnx.save_model(build(spec, model), tmp_path / "model.onnx")
    (by_onnx,) = inner_session(tmp_path / "model.onnx", "Concat", output=True).run(None, batch._asdict())
    assert by_numpy.shape == (len(batch.dense), spec.dense_transform.width(len(spec.dense)))
    np.testing.assert_array_equal(by_numpy, by_torch)
    np.testing.assert_array_equal(by_numpy, by_onnx)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    scores = onnx_scores(onnx_session(str(tmp_path / "model.onnx")), batch)
    np.testing.assert_allclose(scores, numpy_scores(spec, weights, batch), atol=1e-5)


@pytest.mark.parametrize("name", COLUMNS)
def test_whatever_a_column_holds_the_inputs_are_small(name: str) -> None:
    for missing in (0.0, 0.3, 1.0):
        inputs = applied(learnt(name, missing), [*EXTREMES, *sample(name).values])
        assert (np.abs(inputs) <= 1).all()  # also false for NaN


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in ("constant", "none", "one value")])
def test_order_and_sign_are_kept(name: str) -> None:
    transform = learnt(name)
    values = np.unique(sample(name).values)
    inputs = applied(transform, values)
    assert (np.diff(inputs, axis=0) >= 0).all()
    edges = np.array(transform.columns[0].edges, np.float32)
    assert (np.diff(applied(transform, edges).sum(axis=1)) > 0).all()
    assert transform.columns[0].edges[0] == pytest.approx(max(values[0], -1.7014117e38), rel=1e-6)
    assert transform.columns[0].edges[-1] == pytest.approx(min(values[-1], 1.7014117e38), rel=1e-6)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=60),
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=10),
)
def test_any_column(seen: list[float], asked: list[float]) -> None:
    transform = QuantileTransform.learn([NumberSample(np.array(seen, np.float32), 0.5)])
    assert QuantileTransform.model_validate_json(transform.model_dump_json()) == transform
    inputs = applied(transform, sorted(asked))
    assert (np.diff(inputs, axis=0) >= 0).all() and (np.abs(inputs) <= 1).all()


def test_a_missing_number_is_told_from_every_other() -> None:
    for name in ("normal", "mostly zero", "constant", "two values"):
        transform = learnt(name, missing=0.2)
        numbers = applied(transform, [-1, 0, 1, transform.columns[0].median])
        assert set(numbers[:, -1]) == {np.float32(-0.2)}
        assert applied(transform, [np.nan])[0, -1] == np.float32(0.8)


def test_what_training_never_saw_changes_nothing() -> None:
    """Its weights would be those that they were drawn with."""
    never_missing = learnt("normal", missing=0)
    median = never_missing.columns[0].median
    np.testing.assert_array_equal(applied(never_missing, [np.nan]), applied(never_missing, [median]))
    for unknown in (learnt("none", missing=1), learnt("constant", missing=0)):
        assert not applied(unknown, [-5, 0, 1e38, np.nan]).any()


def test_one_bad_value_costs_the_others_nothing() -> None:
    without, bad = learnt("normal").columns[0], learnt("one bad value").columns[0]
    assert bad.edges[-1] == 1e38
    np.testing.assert_allclose(bad.edges[1:-1], without.edges[1:-1], atol=0.2)


def test_frequent_values_are_edges_and_rare_ones_have_the_other_bins() -> None:
    assert learnt("two values").columns[0].edges == [0, 1]
    mostly_zero = learnt("mostly zero").columns[0].edges
    assert mostly_zero[0] == 0 and len(mostly_zero) > 10
    assert str(learnt("counts", missing=0.25).columns[0]).startswith("0 to ")
    assert str(learnt("counts", missing=0.25).columns[0]).endswith(" bins, 25.0% missing")
    assert str(learnt("none").columns[0]) == "always missing"


def test_criteos_recipe() -> None:
    dense = np.array([[np.nan, -5, 0, 1, 312261, 3.4e38]], np.float32)
    expected = np.log(np.array([[1, 1, 1, 2, 312262, 3.4e38]], np.float32))
    np.testing.assert_array_equal(CriteoTransform().apply(dense), expected)
    np.testing.assert_allclose(PositiveLog()(torch.from_numpy(dense)).numpy(), expected, rtol=1e-6)


def test_a_spec_that_says_nothing_has_criteos() -> None:
    document = small_spec().model_dump()
    del document["dense_transform"]
    assert ModelSpec.model_validate(document).dense_transform == CriteoTransform()


COLUMN = QuantileColumn(edges=[-1, 0, 2], means=[0.5, 0.25], median=0, missing=0.1).model_dump()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"edges": [0, 0, 1]}, "edges must rise"),
        ({"edges": [1, 0, 2]}, "edges must rise"),
        ({"edges": [0, float("nan"), 1]}, "edges"),
        ({"edges": [0, 1, 1e39]}, "edges"),
        ({"means": [0.5]}, "1 means for 3 edges"),
        ({"means": [0.5, 1.5]}, "means"),
        ({"missing": 2}, "missing"),
        ({"mean": 0}, "mean"),
    ],
)
def test_what_no_column_can_be_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        QuantileColumn.model_validate(COLUMN | changes)


def test_a_transformation_is_for_so_many_columns() -> None:
    document = small_spec(dense=3).model_dump()
    with pytest.raises(ValidationError, match="dense_transform is for 1 columns, not 3"):
        ModelSpec.model_validate(document | {"dense_transform": {"kind": "quantiles", "columns": [COLUMN]}})
    with pytest.raises(ValidationError, match="dense_transform"):
        ModelSpec.model_validate(document | {"dense_transform": {"kind": "ranks"}})
