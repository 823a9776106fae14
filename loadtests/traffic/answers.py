"""Whether an answer is right."""

import numpy as np
import orjson

from thimble.loadtests.traffic.requests import Prepared

# The server is full, draining or out of time, and says so.
REJECTIONS = (429, 503, 504)


def problem(request: Prepared, body: bytes, tolerance: float) -> str | None:
    """What is wrong with the body of an answer of status 200, None if it has the scores that it must have."""
    try:
        if request.binary:
            lists = _binary_scores(request, body)
        else:
            told = orjson.loads(body)["scores"]
            lists = [*told.values()] if isinstance(told, dict) else [told]
        if len(lists) != request.outputs or any(len(scores) != request.rows for scores in lists):
            return "not one score a row"
        if not all(0 <= score <= 1 for scores in lists for score in scores):
            return "a score outside 0 to 1"
        low, high = min(lists[0]), max(lists[0])
    except (ValueError, KeyError, TypeError):
        return "no scores in the answer"
    if request.expected is not None and max(high - request.expected, request.expected - low) > tolerance:
        return "another score than the known row's"
    return None


def _binary_scores(request: Prepared, body: bytes) -> list[list[float]]:
    """Of all outputs, so the last bytes; the JSON before them says how many there are."""
    size = 4 * request.rows
    json_bytes = len(body) - request.outputs * size
    header = orjson.loads(body[: max(json_bytes, 0)])
    if any(output["parameters"]["binary_data_size"] != size for output in header["outputs"]):
        return []
    found = np.frombuffer(body[json_bytes:], "<f4").reshape(len(header["outputs"]), request.rows)
    scores: list[list[float]] = found.tolist()
    return scores
