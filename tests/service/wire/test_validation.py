import pytest
from pydantic import BaseModel, Field, StrictBool

from thimble.service.errors import RequestError
from thimble.service.wire.validation import validated


class Inner(BaseModel):
    size: int = Field(default=1, gt=0)


class Request(BaseModel):
    ready: StrictBool = False
    inner: Inner = Inner()


@pytest.mark.parametrize("content", [b"", b" \n", b"{}", b'{"more": 1}'])
def test_an_empty_body_is_an_empty_object(content: bytes) -> None:
    assert validated(Request, content) == Request()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "the request: invalid JSON"),
        (b"\xff", "the request: invalid JSON"),
        (b"[" * 100_000, "the request: invalid JSON"),
        (b"[]", "the request: Input should be an object"),
        (b'{"ready": "yes"}', "ready: Input should be a valid boolean"),
        (b'{"inner": {"size": 0}}', "inner.size: Input should be greater than 0"),
    ],
)
def test_a_sentence_names_the_key(content: bytes, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as caught:
        validated(Request, content)
    assert caught.value.status == 400 and "\n" not in caught.value.message
