import pytest
from pydantic import BaseModel, ValidationError, field_validator

from thimble.models.base import sentence


class Outer(BaseModel):
    numbers: list[int]

    @field_validator("numbers")
    @classmethod
    def _some(cls, numbers: list[int]) -> list[int]:
        if not numbers:
            raise ValueError("there are none")
        return numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"numbers": [1, "x"]}', "numbers.1: Input should be a valid integer"),
        ('{"numbers": []}', "numbers: there are none"),
        ("[]", "Input should be an object"),
    ],
)
def test_the_first_wrong_key_is_named(text: str, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate_json(text)
    assert sentence(caught.value).startswith(expected)


def test_what_no_key_is_at_fault_for_is_of_the_whole() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate_json("{")
    assert sentence(caught.value, "the request").startswith("the request: Invalid JSON")
