"""Sizes that architectures choose, and those that they refuse."""

from typing import Any

import pytest
from pydantic import ValidationError

from testing.samples import FORMS, in_form, small_spec
from thimble.models.architectures import ARCHITECTURES, architecture_for
from thimble.models.architectures.base import AskedSizes
from thimble.models.spec import ModelSpec

OWN = AskedSizes(numbers=2, fields=3, embedding_dim=16)


@pytest.mark.parametrize(
    ("arch", "asked", "sizes"),
    [
        ("dlrm", {}, "64 16 | 64 1"),
        ("dlrm", {"numbers": 0, "over_arch": [8, 4]}, "8 4 1"),
        ("dcnv2", {}, "64 16 | 3 cross layers | 64 1"),
        ("dcnv2", {"fields": 8}, "64 16 | 3 cross layers of rank 64 | 64 1"),
        ("dcnv2", {"fields": 7}, "64 16 | 3 cross layers | 64 1"),
        ("dcnv2", {"numbers": 0, "cross_layers": 1, "cross_rank": 48}, "1 cross layers of rank 48 | 64 1"),
        ("deepfm", {}, "64 64 1"),
        ("wide-deep", {"over_arch": [9]}, "9 1"),
        ("mlp", {"dense_arch": [9]}, "64 64 1"),
    ],
)
def test_sizes_where_somebody_has_chosen_some_or_none(arch: str, asked: dict[str, Any], sizes: str) -> None:
    made = architecture_for(arch, AskedSizes(**{**vars(OWN), **asked}))
    assert (made.kind, str(made)) == (arch, sizes)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_an_architecture_chooses_goes_with_the_features(arch: str) -> None:
    for numbers, fields in ((2, 3), (0, 3), (2, 0)):
        architecture_for(arch, AskedSizes(numbers=numbers, fields=fields, embedding_dim=16)).check(numbers, 16)


def test_no_such_architecture() -> None:
    with pytest.raises(
        ValueError, match="no architecture 'transformer'; there are dlrm, dcnv2, deepfm, wide-deep, mlp"
    ):
        architecture_for("transformer", OWN)


def test_a_rank_above_the_inputs() -> None:
    with pytest.raises(ValueError, match="cross_rank 65 is more than the 64 inputs of a cross layer"):
        architecture_for("dcnv2", AskedSizes(**{**vars(OWN), "cross_rank": 65}))


@pytest.mark.parametrize(
    ("form", "changed", "sentence"),
    [
        ("dcnv2", {"dense": []}, "dense_arch must be empty, as dense is"),
        (
            "dcnv2 with vectors of numbers",
            {"dense": []},
            "number_vectors are for models with numbers, and dense is empty",
        ),
        ("deepfm with vectors of numbers", {"dense": []}, "number_vectors are for models with numbers"),
        ("deepfm", {"embedding_dim": 1}, "embedding_dim must be 2 or more, a vector and a first-order weight, not 1"),
        ("wide-deep", {"embedding_dim": 1}, "embedding_dim must be 2 or more"),
        ("dcnv2 parallel", {"embedding_dim": 1}, "embedding_dim must be 2 or more"),
    ],
)
def test_what_does_not_go_with_the_features(form: str, changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ModelSpec.model_validate(dict(small_spec()) | {"architecture": FORMS[form]} | changed)


@pytest.mark.parametrize(
    ("form", "changed", "sentence"),
    [
        *((form, {"over_arch": [4, 2]}, "over_arch must end with 1, not 2") for form in FORMS),
        *((form, {"over_arch": []}, "over_arch") for form in FORMS),
        *((form, {"over_arch": [0, 1]}, "over_arch") for form in FORMS),
        ("dcnv2", {"cross_layers": 0}, "cross_layers"),
        ("dcnv2", {"cross_rank": -1}, "cross_rank"),
        ("dcnv2", {"deep": [0]}, "deep"),
        ("dcnv2", {"number_vectors": True}, "dense_arch and number_vectors both take the numbers"),
    ],
)
def test_what_is_no_size(form: str, changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ModelSpec.model_validate(dict(in_form(small_spec(), form)) | {"architecture": FORMS[form] | changed})


@pytest.mark.parametrize(
    ("form", "layers"),
    [
        ("dcnv2", {"dense_arch.0", "over_arch.2"}),
        ("dcnv2 parallel", {"cross_net.0", "deep.0", "over_arch.0"}),
        ("deepfm", {"over_arch.0", "over_arch.4"}),
        ("wide-deep", {"over_arch.0", "over_arch.4"}),
        ("mlp", {"over_arch.0", "over_arch.4"}),
    ],
)
def test_layers_that_take_numbers_or_make_the_logit_stay_in_float32(form: str, layers: set[str]) -> None:
    assert in_form(small_spec(), form).architecture.float_layers == layers


@pytest.mark.parametrize("form", FORMS)
def test_a_spec_with_any_architecture_is_the_same_from_its_json(form: str) -> None:
    spec = in_form(small_spec(), form)
    assert ModelSpec.model_validate_json(spec.model_dump_json(exclude_none=True)) == spec
