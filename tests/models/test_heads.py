"""Models of several answers: what is one, what its JSON says, and what its probabilities are."""

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from testing.samples import FORMS, in_form, small_spec
from thimble.models.heads import Head, columns_of, outputs_of, probabilities, together
from thimble.models.spec import GoldenRows, Metrics, ModelSpec, answering, parse_spec

HEADS = (Head(name="click"), Head(name="conversion", given="click"), Head(name="like"))


def test_one_answer_leaves_no_trace_in_the_json() -> None:
    written = json.loads(small_spec().model_dump_json(exclude_none=True))
    assert "heads" not in written and parse_spec(json.dumps(written)).outputs == ("score",)


def test_several_answers_are_written_and_read() -> None:
    spec = answering(small_spec(), HEADS)
    assert spec.outputs == ("click", "conversion", "like")
    assert parse_spec(spec.model_dump_json(exclude_none=True)) == spec


@pytest.mark.parametrize("form", FORMS)
def test_any_architecture_takes_as_many_logits(form: str) -> None:
    assert answering(in_form(small_spec(), form), HEADS).architecture.outputs == 3
    with pytest.raises(ValidationError, match="over_arch must end with 3, not 1"):
        ModelSpec.model_validate(dict(in_form(small_spec(), form)) | {"heads": HEADS})


@pytest.mark.parametrize(
    ("heads", "sentence"),
    [
        ([{"name": "click"}], "heads are for several answers; a model of one has none"),
        ([{"name": "a"}, {"name": "b"}, {"name": "a"}], "heads must have different names, these have not: a"),
        ([{"name": "a"}, {"name": "ids"}], "a head cannot be called 'ids', as an input is"),
        ([{"name": "dense"}, {"name": "a"}], "a head cannot be called 'dense', as an input is"),
        ([{"name": "b", "given": "a"}, {"name": "a"}], "head b is given 'a', which is no head before it"),
        ([{"name": "a"}, {"name": "b", "given": "b"}], "head b is given 'b', which is no head before it"),
        ([{"name": "a"}, {"name": ""}], "heads"),
        ([{"name": "a"}, {"name": "b\n"}], "heads"),
    ],
)
def test_what_are_no_heads(heads: Any, sentence: str) -> None:
    spec = small_spec()
    architecture = spec.architecture.with_outputs(len(heads))
    with pytest.raises(ValidationError, match=sentence):
        ModelSpec.model_validate(dict(spec) | {"heads": heads, "architecture": architecture})


def test_a_golden_row_has_a_score_of_each_answer() -> None:
    spec = answering(small_spec(), HEADS)
    features: dict[str, Any] = {name: [None] for name in spec.feature_names}

    def with_golden(scores: Any) -> ModelSpec:
        return ModelSpec.model_validate(dict(spec) | {"golden": GoldenRows(features=features, scores=scores)})

    golden = with_golden({"click": [0.5], "conversion": [0.25], "like": [0.75]}).golden
    assert golden is not None and golden.rows == 1 and golden.table.tolist() == [[0.5, 0.25, 0.75]]
    for wrong, sentence in [
        ([0.5], "golden rows must have scores of click, conversion, like, not of score"),
        ({"click": [0.5], "like": [0.5], "conversion": [0.1]}, "not of click, like, conversion"),
        ({"click": [0.5], "conversion": [0.1, 0.2], "like": [0.1]}, "1 values for 2 scores"),
        ({}, "golden rows are empty"),
    ]:
        with pytest.raises(ValidationError, match=sentence):
            with_golden(wrong)


def test_what_is_given_another_is_the_probability_of_both() -> None:
    logits = np.array([[0.0, 0.0, 1.0], [2.0, -1.0, -90.0]])
    own = 1 / (1 + np.exp(-logits))
    found = probabilities(logits, HEADS)
    np.testing.assert_allclose(found[:, 0], own[:, 0])
    np.testing.assert_allclose(found[:, 1], own[:, 0] * own[:, 1])
    np.testing.assert_allclose(found[:, 2], own[:, 2])
    chain = (Head(name="a"), Head(name="b", given="a"), Head(name="c", given="b"))
    np.testing.assert_allclose(probabilities(logits, chain)[:, 2], own.prod(axis=1))


def test_columns_come_apart_and_together() -> None:
    one, several = np.arange(3.0), np.arange(6.0).reshape(3, 2)
    assert together(columns_of(one)) is one
    assert together(columns_of(several)).tolist() == several.tolist()
    assert outputs_of(()) == ("score",)


def test_of_several_answers_the_best_model_has_the_least_mean_normalised_entropy() -> None:
    """A rare conversion counts as much as a common click, whose losses are far larger."""

    def metrics(click: float, conversion: float | None) -> Metrics:
        rare = Metrics(rows=9, base_rate=0.01, log_loss=0.05, normalised_entropy=conversion)
        return Metrics(rows=9, base_rate=0.5, log_loss=0.6, normalised_entropy=click, others={"conversion": rare})

    assert metrics(0.9, 0.7).to_be_least == pytest.approx(0.8)
    assert metrics(0.9, None).to_be_least == pytest.approx(0.9)  # of one class
    assert Metrics(rows=9, base_rate=0.5, log_loss=0.6, normalised_entropy=0.9).to_be_least == 0.6
