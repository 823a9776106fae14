"""What answers hold: scores, or why there are none, or something that no server of Thimble says."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import httpx
import numpy as np
import numpy.typing as npt
import orjson

from thimble.client.encoding import HEADER_LENGTH, Floats
from thimble.client.errors import ThimbleError

ALL: Final = "all"
"""Every answer of a model that has several."""
SCORE: Final = "score"
"""The output of a model of one answer."""
Outputs = Sequence[str] | Literal["all"]

_SHOWN = 200


def scores(response: httpx.Response, rows: int) -> Floats:
    """float32 [rows]. ThimbleError: there are none, or not so many."""
    _require_ok(response)
    length = response.headers.get(HEADER_LENGTH)
    found = _scores_in_json(response.content) if length is None else _scores_in_bytes(response.content, length)
    if found is None or found.shape != (rows,) or not np.isfinite(found).all():
        if len(several := _answers(response)) > 1:
            asked = f"name some of them as outputs, or {ALL!r}"
            raise ThimbleError(200, f"the model has several answers, {', '.join(several)}: {asked}")
        raise _no_scores(response, rows)
    return found


def scores_by_output(response: httpx.Response, rows: int) -> dict[str, Floats]:
    """float32 [rows] each, by the name of the output. ThimbleError: there are none, or not so many."""
    _require_ok(response)
    found = _answers(response)
    if not found or not all(it.shape == (rows,) and np.isfinite(it).all() for it in found.values()):
        raise _no_scores(response, rows)
    return found


def only_model(response: httpx.Response) -> str:
    """The name of the model, if only one is served. ThimbleError: there are several, or none."""
    _require_ok(response)
    try:
        names = sorted({str(entry["name"]) for entry in orjson.loads(response.content)})
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise ThimbleError(200, f"no answer with the models that are served, but {_what_came(response)}") from None
    if not names:
        raise ThimbleError(404, "no model is served")
    if len(names) > 1:
        raise ThimbleError(404, f"several models are served, name one: {', '.join(names)}")
    return names[0]


def sentence(response: httpx.Response) -> str | None:
    """What the server says is wrong, None if it is not a server of Thimble that speaks."""
    try:
        error = orjson.loads(response.content)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return error if isinstance(error, str) else None


def _require_ok(response: httpx.Response) -> None:
    if response.status_code != 200:
        said = sentence(response)
        message = said if said is not None else f"no answer of a Thimble server, but {_what_came(response)}"
        raise ThimbleError(response.status_code, message)


def _no_scores(response: httpx.Response, rows: int) -> ThimbleError:
    return ThimbleError(200, f"no answer with scores of {rows} rows, but {_what_came(response)}")


def _answers(response: httpx.Response) -> dict[str, Floats]:
    """All scores that came, by output; nothing if any of them are none."""
    content, length = response.content, response.headers.get(HEADER_LENGTH)
    try:
        if length is None:
            told = orjson.loads(content)["scores"]
            by_name = told if isinstance(told, dict) else {SCORE: told}
            found = {name: _floats(values) for name, values in by_name.items()}
            known = {name: values for name, values in found.items() if values is not None}
            return known if len(known) == len(found) else {}
        at = int(length)
        binary = {}
        for output in orjson.loads(content[:at])["outputs"]:
            size = output["parameters"]["binary_data_size"]
            binary[str(output["name"])] = np.frombuffer(content[at : at + size], "<f4").astype(np.float32)
            at += size
    except (KeyError, TypeError, ValueError):
        return {}
    return binary


def _scores_in_json(content: bytes) -> Floats | None:
    try:
        return _floats(orjson.loads(content)["scores"])
    except (KeyError, TypeError, ValueError):
        return None


def _floats(told: Any) -> Floats | None:
    """ValueError: lists of several lengths."""
    values: npt.NDArray[Any] = np.array(told)
    with np.errstate(over="ignore"):
        return values.astype(np.float32) if values.dtype.kind in "fi" else None


def _scores_in_bytes(content: bytes, header_length: str) -> Floats | None:
    try:
        return np.frombuffer(content, "<f4", offset=int(header_length)).astype(np.float32)
    except ValueError:  # no number, past the end, or not four bytes a score
        return None


def _what_came(response: httpx.Response) -> str:
    if (location := response.headers.get("location")) is not None:
        return f"a redirect to {location!r}"
    kind = response.headers.get("content-type", "no content type")
    return f"{kind}: {response.text[:_SHOWN]!r}" if response.content else "an empty body"
